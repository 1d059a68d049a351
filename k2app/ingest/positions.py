"""Where to read a partition from: the lake's floor, held against what the log says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from k2app.errors import OperatorError
from k2app.lake.floors import Fingerprint, Floors, Place


@dataclass(frozen=True)
class LogBounds:
    """What the log says of one partition: first kept and next offset, and the record before the floor if kept."""

    start: int
    end: int
    before_floor: Fingerprint | None = None


@dataclass(frozen=True)
class Policy:
    """What the operator said about logs that are not as the lake left them."""

    on_hole: Literal["stop", "continue"] = "stop"
    on_new_log: Literal["stop", "continue"] = "stop"


@dataclass(frozen=True)
class Position:
    """Where to read from; `hole` are the offsets given up on purpose."""

    next_offset: int
    hole: tuple[int, int] | None = None


def position(place: Place, floors: Floors, log: LogBounds, policy: Policy) -> Position:
    """Decide where to read a partition from.

    Raises
    ------
    OperatorError
        The log is not the one that the lake was written from, or offsets are gone from it.
    """
    floor = floors.partitions.get(place)
    if floor is None:
        _accept_log(place, floors, policy)
        return Position(log.start)
    if floor.next_offset > log.end:
        raise OperatorError(
            f"{place} ends at {log.end}, the lake ends at {floor.next_offset}: the log was recreated or restored "
            "from an old copy; put the right log back, or start a new one under another path (it gets its own id)"
        )
    mark = floor.fingerprint
    if mark is not None and log.before_floor is not None and mark != log.before_floor:
        raise OperatorError(
            f"{place}: record {floor.next_offset - 1} is not the one that the lake holds "
            f"(fingerprint {log.before_floor}, expected {mark}): the log was recreated or restored from an old "
            "copy; put the right log back"
        )
    return _across_hole(place, floor.next_offset, log.start, policy)


def _accept_log(place: Place, floors: Floors, policy: Policy) -> None:
    others = sorted({p.log_id for p in floors.partitions if p.topic == place.topic} - {place.log_id})
    if not others or policy.on_new_log == "continue" or _has_log(floors, place):
        return
    raise OperatorError(
        f"the lake holds {place.topic} from log {', '.join(others)}, this is log {place.log_id}: the log was "
        "recreated, or another one is configured; put the right log back, or set K2_ON_NEW_LOG=continue to "
        "ingest this one as well (what the old log holds beyond the lake is not read)"
    )


def _has_log(floors: Floors, place: Place) -> bool:
    """Whether another partition of the topic came from this log: then the log was accepted before."""
    return any((p.log_id, p.topic) == (place.log_id, place.topic) for p in floors.partitions)


def _across_hole(place: Place, floor: int, start: int, policy: Policy) -> Position:
    if start <= floor:
        return Position(floor)
    if policy.on_hole == "stop":
        raise OperatorError(
            f"{place} starts at {start}, the lake ends at {floor}: {start - floor} offsets are gone from the log; "
            "set K2_ON_HOLE=continue to record the hole and go on"
        )
    return Position(start, (floor, start))
