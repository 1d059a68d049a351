"""Every stream of the market: what each symbol sends, in order, with the expected verdicts."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import content
import injections
import numpy as np
from content import Content, Ints
from injections import Injection, Plan, Range
from venues import (
    ASX_DAYS,
    ASX_SYMBOLS,
    BINANCE_DAYS,
    BINANCE_SYMBOLS,
    CLOSING,
    DELIVERY,
    PREOPEN,
    Symbol,
    at_us,
)

RULES = {
    ("asx", "trades"): "contiguous",
    ("asx", "quotes"): "contiguous",
    ("binance", "trades"): "contiguous",
    ("binance", "quotes"): "increasing",
}
"""Sequence rule per exchange and data type; ASX counts from 1 each trading date, Binance without end."""

ASX_SHARE = (3, 4)
"""Part of all rows that the twenty shares get; the five coins get the rest."""

OUTAGE_US = 2 * 3_600_000_000
"""Silence before a reset: a sequence that falls is a reset only an hour or more after the highest one."""

EPOCHS = {"ETHUSDT": (1_000,), "SOLUSDT": (1, 1), "XRPUSDT": (1,)}
"""First sequence after each reset of the symbol's trades."""

CLEAN_BEFORE_RESET = "XRPUSDT"
"""This symbol has no open gap at its reset; the others have."""

ASX_HEADS = {("DLM", 1): injections.STARTS_AT_FOUR, ("HLX", 2): injections.STARTS_AT_FOUR_FILLED}
"""Symbols and days (from 0) whose stream does not begin at 1."""

CARRIED_SYMBOLS = ("CRW", "FNX")
"""Symbols of which each day's file but the first begins with rows of the day before: one owed, one sent twice."""

BELOW_LOW_SYMBOL = "DOGEUSDT"
"""Of this symbol an older trade arrives after the first one seen."""


@dataclass
class Epoch:
    """A plan with the sequence, content and number of its part of a stream."""

    plan: Plan
    sequence: Ints
    content: Content
    number: int = 0


@dataclass(frozen=True)
class Event:
    """A gap event, by sequence numbers; `place` is the arrival that causes it."""

    place: int
    event: str
    first: int
    last: int
    epoch: int


@dataclass
class Stream:
    """All rows of one (exchange, data type, symbol, scope), in arrival order.

    Parameters
    ----------
    key
        Arrival time per arrival, never falling.
    day
        Index of the file's day per arrival.
    plan
        Arrivals of all epochs; their gaps are in `events` and `leaves`, by sequence number.
    content
        One entry per slot, over all epochs.
    leaves
        Gaps open at the end, in order.
    epoch
        Number of the last epoch, from 0.
    """

    exchange: str
    data_type: str
    symbol: Symbol
    scope: dt.date | None
    key: Ints
    day: Ints
    plan: Plan
    content: Content
    events: list[Event]
    leaves: list[Range]
    epoch: int


def injections_for(rows: int) -> int:
    """Injections in a stream: few in a large one, and at least one in the smallest."""
    return 1 + rows // 400 + min(rows // 25, 5)


def shares(rows: int, parts: int) -> list[int]:
    """Divide rows over symbols, the first about twice as busy as the last; sums to `rows`."""
    weights = 1 / (1 + np.arange(parts) / 20)
    bounds = np.floor(np.concatenate([[0], np.cumsum(weights)]) / weights.sum() * rows + 1e-6)
    return [int(n) for n in np.diff(bounds)]


def asx_streams(seed: int, data_type: str, rows: int) -> Iterator[Stream]:
    """One stream per share and trading date."""
    kinds = itertools.cycle(injections.catalogue(data_type, "contiguous"))
    per_day = [shares(n, len(ASX_SYMBOLS)) for n in np.diff(np.linspace(0, rows, 4).astype(int)).tolist()]
    for day, number in itertools.product(range(len(ASX_DAYS)), range(len(ASX_SYMBOLS))):
        count = per_day[day][number]
        body = list(itertools.islice(kinds, injections_for(count)))
        rng = np.random.default_rng([seed, 1, ord(data_type[0]), number, day])
        yield _asx_stream(rng, data_type, ASX_SYMBOLS[number], day, count, body)


def _asx_stream(
    rng: np.random.Generator, data_type: str, symbol: Symbol, day: int, rows: int, body: list[Injection]
) -> Stream:
    date = ASX_DAYS[day]
    if symbol.name in CARRIED_SYMBOLS and day + 1 < len(ASX_DAYS):
        body[0] = injections.CARRIED
    head = ASX_HEADS.get((symbol.name, day), injections.FIRST)
    plan = injections.compose(head, body, rows, edge=content.AUCTION_TRADES)
    sequence = np.arange(plan.slots, dtype=np.int64) + 1
    if data_type == "trades":
        told = content.asx_trades(rng, symbol, date, sequence, int(plan.slot[0]))
    else:
        times = content.spread_times(rng, plan.slots, at_us(date, PREOPEN), at_us(date, CLOSING))
        told = content.quotes(rng, symbol, times, sequence)
    stream = _stream("asx", data_type, symbol, date, [Epoch(plan, sequence, told)])
    stream.day[:] = day
    if plan.carried:
        stream.day[-plan.carried :] = day + 1
        stream.key[-plan.carried :] = at_us(ASX_DAYS[day + 1], DELIVERY)
    return stream


def binance_streams(seed: int, data_type: str, rows: int) -> Iterator[Stream]:
    """One stream per coin, over the whole period."""
    kinds = itertools.cycle(injections.catalogue(data_type, RULES["binance", data_type]))
    for number, (symbol, count) in enumerate(zip(BINANCE_SYMBOLS, shares(rows, 5), strict=True)):
        rng = np.random.default_rng([seed, 2, ord(data_type[0]), number])
        if data_type == "trades":
            epochs = _trade_epochs(rng, symbol, count, kinds)
        else:
            epochs = [_quote_epoch(rng, symbol, count, kinds)]
        stream = _stream("binance", data_type, symbol, None, epochs)
        stream.day[:] = (stream.key - _period()[0]) // 86_400_000_000
        yield stream


def _period() -> tuple[int, int]:
    """The continuous venue's period [start, end), in microseconds since 1970."""
    after = BINANCE_DAYS[-1] + dt.timedelta(days=1)
    return at_us(BINANCE_DAYS[0], dt.time(), dt.UTC), at_us(after, dt.time(), dt.UTC)


def _trade_epochs(
    rng: np.random.Generator, symbol: Symbol, rows: int, kinds: Iterator[Injection]
) -> list[Epoch]:
    """The symbol's epochs, each after an outage; the first starts at a number nobody knows in advance."""
    starts = [int(rng.integers(10**6, 10**9)), *EPOCHS.get(symbol.name, ())]
    start_us, end_us = _period()
    edges = np.linspace(start_us, end_us, len(starts) + 1).astype(np.int64).tolist()
    counts = np.diff(np.linspace(0, rows, len(starts) + 1).astype(np.int64)).tolist()
    epochs = []
    for number, first in enumerate(starts):
        is_last = number == len(starts) - 1
        body = _epoch_body(symbol, counts[number], kinds, is_last=is_last)
        plan = injections.compose(_binance_head(symbol, number), body, counts[number], edge=1)
        sequence = np.arange(plan.slots, dtype=np.int64) + first
        times = content.spread_times(rng, plan.slots, edges[number], edges[number + 1] - OUTAGE_US)
        told = content.binance_trades(rng, symbol, times, sequence)
        epochs.append(Epoch(plan, sequence, told, number))
    return epochs


def _binance_head(symbol: Symbol, epoch: int) -> Injection:
    if epoch:
        return injections.RESET
    return injections.BELOW_LOW if symbol.name == BELOW_LOW_SYMBOL else injections.FIRST


def _epoch_body(symbol: Symbol, rows: int, kinds: Iterator[Injection], *, is_last: bool) -> list[Injection]:
    """Injections of an epoch; one that a reset ends has an open gap, unless its symbol is to have none."""
    if not is_last and symbol.name == CLEAN_BEFORE_RESET:
        return [injections.CLEAN]
    body = list(itertools.islice(kinds, injections_for(rows)))
    return body if is_last else [injections.SMALL_GAP, *body]


def _quote_epoch(rng: np.random.Generator, symbol: Symbol, rows: int, kinds: Iterator[Injection]) -> Epoch:
    """Quotes numbered by book updates: growing, with jumps that mean nothing."""
    body = list(itertools.islice(kinds, injections_for(rows)))
    plan = injections.compose(injections.FIRST, body, rows, edge=1)
    steps = rng.integers(1, 40, plan.slots, dtype=np.int64)
    sequence = int(rng.integers(10**6, 10**9)) + np.cumsum(steps)
    times = content.spread_times(rng, plan.slots, *_period())
    return Epoch(plan, sequence, content.quotes(rng, symbol, times, sequence))


def _stream(
    exchange: str, data_type: str, symbol: Symbol, scope: dt.date | None, epochs: Sequence[Epoch]
) -> Stream:
    """Join epochs; at each but the first, the gaps left open by the one before are abandoned."""
    joined, told = _join_plans([e.plan for e in epochs]), _join_content([e.content for e in epochs])
    key = np.maximum.accumulate(told.time_us[joined.slot])
    events: list[Event] = []
    leaves: list[Range] = []
    place = 0
    for epoch in epochs:
        events += [Event(place, "abandoned", lo, hi, epoch.number - 1) for lo, hi in leaves]
        events += _events(epoch, place)
        leaves = _numbered(epoch)
        place += len(epoch.plan.slot)
    day = np.zeros(len(key), np.int64)
    return Stream(
        exchange, data_type, symbol, scope, key, day, joined, told, events, leaves, epochs[-1].number
    )


def _events(epoch: Epoch, place: int) -> list[Event]:
    numbers = epoch.sequence
    return [
        Event(place + e.place, e.event, int(numbers[e.slots[0]]), int(numbers[e.slots[1]]), epoch.number)
        for e in epoch.plan.events
    ]


def _numbered(epoch: Epoch) -> list[Range]:
    """Gaps that the epoch leaves open, by sequence numbers, in order."""
    return sorted((int(epoch.sequence[lo]), int(epoch.sequence[hi])) for lo, hi in epoch.plan.leaves)


def _join_plans(plans: Sequence[Plan]) -> Plan:
    """Plans one after the other (their events stay with the epochs)."""
    slots = np.cumsum([0, *(p.slots for p in plans)]).tolist()
    places = np.cumsum([0, *(len(p.slot) for p in plans)]).tolist()
    joined = Plan(
        slots[-1],
        np.concatenate([p.slot + at for p, at in zip(plans, slots, strict=False)]),
        np.concatenate([p.flag for p in plans]),
        carried=plans[-1].carried,
    )
    for plan, at in zip(plans, places, strict=False):
        joined.spoils |= {at + place: spoil for place, spoil in plan.spoils.items()}
    return joined


def _join_content(parts: Sequence[Content]) -> Content:
    return Content(
        np.concatenate([p.time_us for p in parts]),
        [line for p in parts for line in p.lines],
        np.concatenate([p.price for p in parts]),
        np.concatenate([p.quantity for p in parts]),
        np.concatenate([p.off_market for p in parts]),
    )
