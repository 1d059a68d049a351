"""What goes wrong in a stream, as scripts that state the expected verdict of every row.

A stream is a row of *slots*, one per sequence number. A script says in which order the slots of a window
arrive, and what a sequence check must say of each::

    0 7:gap(1-6) 8 3:late 9

Slot 0 arrives; then 7, flagged `gap`, which opens the gap 1 to 6; then 8; then 3, `late`, which fills its
part of the gap; then 9. Further marks: `1!` arrives malformed (a loader rejects it: no verdict, and its
number stays missing); `1:below` is late below everything seen, where no gap was open; `1>late` arrives in
the next day's file, late for its own day. Windows never overlap, and each begins and ends on an ordinary
row, so no script can change the verdicts of another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from spoils import SPOILS, Spoil

FLAGS = ("ok", "first", "gap", "late", "reset", "duplicate", "regressed", "rejected")
"""Verdicts by code; `rejected` is the loader's, the others are the sequence check's."""

Range = tuple[int, int]

_TOKEN = re.compile(r"(\d+)(?:(!)|([:>])([a-z]+))?(?:\((\d+)-(\d+)\))?")


@dataclass(frozen=True)
class Arrival:
    """One row arriving: its slot, its verdict, what it opens and whether it fills its own place."""

    slot: int
    flag: str = "ok"
    opens: Range | None = None
    fills: bool = False
    carried: bool = False


@dataclass(frozen=True)
class Injection:
    """A script, the gaps that it leaves open, and how its malformed row (if any) is spoiled."""

    script: str
    leaves: tuple[Range, ...] = ()
    spoil: Spoil | None = None


@dataclass(frozen=True)
class GapEvent:
    """Something that a row (by place in arrival order) does to a gap (numbered by slots)."""

    place: int
    event: str
    slots: Range


@dataclass
class Plan:
    """One stream's arrivals, in order.

    `slot` and `flag` (codes in FLAGS) hold one entry per arrival; `carried` counts how many at the end
    arrive in the next day's file; `spoils` are by place in arrival order; `leaves` are open at the end.
    """

    slots: int
    slot: npt.NDArray[np.int64]
    flag: npt.NDArray[np.int8]
    carried: int = 0
    spoils: dict[int, Spoil] = field(default_factory=dict)
    events: list[GapEvent] = field(default_factory=list)
    leaves: list[Range] = field(default_factory=list)


FIRST = Injection("0:first")
RESET = Injection("0:reset")
STARTS_AT_FOUR = Injection("3:first(0-2) 4", leaves=((0, 2),))
STARTS_AT_FOUR_FILLED = Injection("3:first(0-2) 4 1:late 5", leaves=((0, 0), (2, 2)))
BELOW_LOW = Injection("3:first 4 1:below(2-2) 5", leaves=((2, 2),))
CARRIED = Injection("0 2:gap(1-1) 3 1>late 3>duplicate")
SMALL_GAP = Injection("0 4:gap(1-3) 5", leaves=((1, 3),))
CLEAN = Injection("0 1 2")

_CONTIGUOUS = (
    SMALL_GAP,
    Injection("0 2:gap(1-1) 3 1:late 4"),
    Injection("0 1 1:duplicate 2"),
    Injection("0 12:gap(1-11) 13", leaves=((1, 11),)),
    Injection("0 7:gap(1-6) 8 3:late 9", leaves=((1, 2), (4, 6))),
    Injection("0 1 2 0:duplicate 3"),
    Injection("0 151:gap(1-150) 152", leaves=((1, 150),)),
    Injection("0 3:gap(1-2) 2:late 4 1:late 5"),
    Injection("0 2:gap(1-1) 1:late 3 1:duplicate 4"),
    Injection("0 11:gap(1-10) 12", leaves=((1, 10),)),
    Injection("0 15:gap(1-14) 1:late 16 14:late 17", leaves=((2, 13),)),
    Injection("0 1 0:duplicate 1:duplicate 1:duplicate 2"),
)

_INCREASING = (
    Injection("0 1 1:duplicate 2"),
    Injection("0 2 1:regressed 3"),
    Injection("0 1 2 0:duplicate 3"),
)


def catalogue(data_type: str, rule: str) -> list[Injection]:
    """Every injection for a data type under a sequence rule; each malformed kind once alone, once re-sent."""
    contiguous = rule == "contiguous"
    alone = "0 1! 2:gap(1-1) 3" if contiguous else "0 1! 2"
    again = "0 1! 2:gap(1-1) 3 1:late 4" if contiguous else "0 1! 2 3 1:regressed 4"
    spoils = SPOILS[data_type]
    lost = [Injection(alone, leaves=((1, 1),) if contiguous else (), spoil=s) for s in spoils]
    resent = [Injection(again, spoil=s) for s in spoils]
    mixed = [i for pair in zip(lost, resent, strict=True) for i in pair]
    return [*(_CONTIGUOUS if contiguous else _INCREASING), *mixed]


def parse(script: str) -> list[Arrival]:
    """Arrivals of a script, in order; slots counted from the window's start."""
    return [_arrival(token) for token in script.split()]


def _arrival(token: str) -> Arrival:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise ValueError(f"script token {token!r}: expected SLOT, SLOT!, SLOT:FLAG or SLOT:FLAG(FIRST-LAST)")
    slot, bad, mark, flag, first, last = match.groups()
    opens = (int(first), int(last)) if first else None
    if bad:
        return Arrival(int(slot), "rejected")
    if flag == "below":
        return Arrival(int(slot), "late", opens)
    return Arrival(int(slot), flag or "ok", opens, fills=flag == "late", carried=mark == ">")


def width(injection: Injection) -> int:
    """Slots in the window of an injection."""
    return max(a.slot for a in parse(injection.script)) + 1


def delivered(injection: Injection) -> int:
    """Slots of the window that reach the lake (once or more)."""
    return len({a.slot for a in parse(injection.script) if a.flag != "rejected"})


def compose(head: Injection, body: Sequence[Injection], rows: int, *, edge: int) -> Plan:
    """Lay a head and injections over a stream in which `rows` slots reach the lake.

    Parameters
    ----------
    edge
        Ordinary rows kept between head and first injection, and after the last one.

    Raises
    ------
    ValueError
        If the rows do not suffice.
    """
    spare = rows - 2 * edge - sum(delivered(i) for i in (head, *body))
    if spare < 0:
        raise ValueError(f"{rows} rows are too few for {len(body)} injections: {-spare} more are needed")
    runs = np.diff(np.linspace(0, spare, len(body) + 2).astype(np.int64))
    runs[0] += edge
    runs[-1] += edge
    return _lay([head, *body], [int(run) for run in runs])


def _lay(windows: Sequence[Injection], runs: Sequence[int]) -> Plan:
    """Concatenate windows, each followed by its run of ordinary rows; carried arrivals go to the end."""
    plan = Plan(0, np.empty(0, np.int64), np.empty(0, np.int8))
    slots: list[npt.NDArray[np.int64]] = []
    flags: list[npt.NDArray[np.int8]] = []
    carried: list[Arrival] = []
    place = 0
    for window, run in zip(windows, runs, strict=True):
        arrivals = [_shift(a, plan.slots) for a in parse(window.script)]
        carried += [a for a in arrivals if a.carried]
        place = _note(plan, [a for a in arrivals if not a.carried], place, window.spoil)
        plan.leaves += [(lo + plan.slots, hi + plan.slots) for lo, hi in window.leaves]
        slots += [_slots(arrivals), np.arange(run) + plan.slots + width(window)]
        flags += [_codes(arrivals), np.zeros(run, np.int8)]
        plan.slots += width(window) + run
        place += run
    _note(plan, carried, place, None)
    late = [Arrival(a.slot, a.flag) for a in carried]
    plan.slot, plan.flag = np.concatenate([*slots, _slots(late)]), np.concatenate([*flags, _codes(late)])
    plan.carried = len(carried)
    return plan


def _shift(arrival: Arrival, by: int) -> Arrival:
    opens = None if arrival.opens is None else (arrival.opens[0] + by, arrival.opens[1] + by)
    return Arrival(arrival.slot + by, arrival.flag, opens, arrival.fills, arrival.carried)


def _slots(arrivals: Sequence[Arrival]) -> npt.NDArray[np.int64]:
    return np.array([a.slot for a in arrivals if not a.carried], np.int64)


def _codes(arrivals: Sequence[Arrival]) -> npt.NDArray[np.int8]:
    return np.array([FLAGS.index(a.flag) for a in arrivals if not a.carried], np.int8)


def _note(plan: Plan, arrivals: Sequence[Arrival], place: int, spoil: Spoil | None) -> int:
    """Add the arrivals' gap events and malformed rows to the plan; returns the next place."""
    for at, arrival in enumerate(arrivals, start=place):
        if arrival.opens is not None:
            plan.events.append(GapEvent(at, "opened", arrival.opens))
        if arrival.fills:
            plan.events.append(GapEvent(at, "filled", (arrival.slot, arrival.slot)))
        if arrival.flag == "rejected" and spoil is not None:
            plan.spoils[at] = spoil
    return place + len(arrivals)
