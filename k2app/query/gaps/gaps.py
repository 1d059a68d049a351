"""Sequence gaps: the events the check recorded, and the state they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from k2app.query.answers.page import from_cursor, rows_before, to_cursor
from k2app.query.answers.result import Result
from k2app.query.gaps.ranges import Range, outside, union
from k2app.query.reading.filters import Filter, between, equal
from k2app.query.reading.reader import GAPS, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.requests import GapsRequest
from k2app.query.times import EPOCH, MICROSECOND

SMALL_GAP = 10
"""Missing numbers up to which a gap is `small`."""

STATE_SCHEMA = pa.schema(
    [
        ("exchange", pa.string()),
        ("asset_class", pa.string()),
        ("data_type", pa.string()),
        ("symbol", pa.string()),
        ("trading_date", pa.date32()),
        ("epoch", pa.int32()),
        ("from_sequence", pa.int64()),
        ("to_sequence", pa.int64()),
        ("missing", pa.int64()),
        ("severity", pa.string()),
        ("state", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per range of numbers; `state` is `open`, `filled`, `abandoned` or `merged` (no longer known whether
they came). `timestamp`: event time of the record that showed the gap, or that closed it. `missing` is 0 where
nothing is missing any more. Ordered by everything from `exchange` on."""

_EVENT_ORDER = 'committed_at, log_id, topic, "partition", "offset", event_index'

_SCOPE = ("exchange", "asset_class", "data_type", "symbol", "trading_date", "epoch")

_CURSOR_TYPES = (int,)
"""The cursor of gaps holds how many rows came before: the snapshot is pinned and the whole state is made anew
for each page, so that a place in it is a number."""


class Scope(NamedTuple):
    """What is numbered on its own."""

    exchange: str
    asset_class: str
    data_type: str
    symbol: str
    trading_date: date | None
    epoch: int


@dataclass(frozen=True)
class Gap:
    """A range of numbers and what became of it. Both ends inclusive."""

    scope: Scope
    start: int
    end: int
    state: str
    timestamp_us: int

    @property
    def missing(self) -> int:
        """Numbers that are still missing."""
        return self.end - self.start + 1 if self.state in {"open", "abandoned"} else 0


def read_gaps(reader: Reader, request: GapsRequest) -> Result:
    """Read gaps as state (`STATE_SCHEMA`) or as events (the columns of the table `gaps`, in order of arrival).

    Raises
    ------
    RequestError
        The limit is larger than allowed, or the cursor is not one for this request.
    """
    reader.check_limit(request.limit)
    question = [GAPS, request.identity()]
    place = None if request.cursor is None else from_cursor(request.cursor, question, _CURSOR_TYPES)
    if place is None:
        found = reader.snapshots.resolve((GAPS,), (), request)
    else:
        found = reader.snapshots.resume((GAPS,), (), place)
    rows = _events_in(reader, found, request) if request.events else _states_in(reader, found, request)
    begin = rows_before(place)
    end = begin + request.limit
    following = found.place((end,)) if end < rows.num_rows else None
    return Result(
        rows=rows.slice(begin, request.limit),
        snapshots=found.ids,
        as_of_us=found.as_of_us,
        next=None if following is None else to_cursor(following, question),
    )


def open_gaps(reader: Reader, found: SnapshotSet, terms: Filter) -> list[Gap]:
    """Gaps still open at a snapshot set; ordered by scope and number.

    Notes
    -----
    Filter by scope, never by time: what fills a gap is a late record, stamped before the gap was seen.
    """
    if not reader.files(found, GAPS, terms):
        return []
    return [gap for gap in fold(_events(reader, found, terms)) if gap.state == "open"]


def fold(events: Iterable[dict[str, Any]]) -> list[Gap]:
    """Add events up to what is open and what became of the rest.

    Numbers opened, less those filled and abandoned, are open; those that were merged are unknown, which is
    neither. The order of events within a scope does not matter: a number is opened at most once in an epoch.
    """
    ordered = sorted(events, key=lambda event: _sortable(_scope(event)))
    gaps = [gap for scope, group in groupby(ordered, key=_scope) for gap in _fold_scope(scope, list(group))]
    return sorted(
        gaps, key=lambda gap: (_sortable(gap.scope), gap.start, gap.end, gap.state, gap.timestamp_us)
    )


def _fold_scope(scope: Scope, events: list[dict[str, Any]]) -> Iterator[Gap]:
    closed = [event for event in events if event["event"] != "opened"]
    for event in closed:
        yield Gap(scope, *_range(event), event["event"], event["timestamp_us"])
    gone = union(_range(event) for event in closed if event["event"] in {"filled", "abandoned"})
    for event in events:
        if event["event"] == "opened":
            left = outside(_range(event), gone)
            yield from (Gap(scope, start, end, "open", event["timestamp_us"]) for start, end in left)


def _terms(request: GapsRequest) -> Filter:
    return (
        *equal("symbol", request.symbol),
        *equal("exchange", request.exchange),
        *equal("data_type", request.data_type),
    )


def _events_in(reader: Reader, found: SnapshotSet, request: GapsRequest) -> pa.Table:
    terms = (*_terms(request), *between("timestamp", request.start, request.end))
    return reader.query(found, GAPS, terms, f"SELECT * FROM matching ORDER BY {_EVENT_ORDER}")


def _states_in(reader: Reader, found: SnapshotSet, request: GapsRequest) -> pa.Table:
    gaps = fold(_events(reader, found, _terms(request)))
    return _table(gap for gap in gaps if _wanted(gap, request))


def _wanted(gap: Gap, request: GapsRequest) -> bool:
    return (
        (gap.state == "open" or not request.open_only)
        and (request.start is None or gap.timestamp_us >= request.start)
        and (request.end is None or gap.timestamp_us < request.end)
    )


def _events(reader: Reader, found: SnapshotSet, terms: Filter) -> list[dict[str, Any]]:
    body = (
        "SELECT event, exchange, asset_class, data_type, symbol, trading_date, epoch, from_sequence, "
        "to_sequence, epoch_us(timestamp) AS timestamp_us FROM matching"
    )
    events: list[dict[str, Any]] = reader.query(found, GAPS, terms, body).to_pylist()
    return events


def _table(gaps: Iterable[Gap]) -> pa.Table:
    rows = [
        {
            **gap.scope._asdict(),
            "from_sequence": gap.start,
            "to_sequence": gap.end,
            "missing": gap.missing,
            "severity": "small" if gap.end - gap.start < SMALL_GAP else "large",
            "state": gap.state,
            "timestamp": EPOCH + gap.timestamp_us * MICROSECOND,
        }
        for gap in gaps
    ]
    return pa.Table.from_pylist(rows, schema=STATE_SCHEMA)


def _scope(event: dict[str, Any]) -> Scope:
    return Scope(*(event[name] for name in _SCOPE))


def _sortable(scope: Scope) -> tuple[Any, ...]:
    """The scope with its missing date before every other."""
    return (*scope[:4], scope.trading_date or date.min, scope.epoch)


def _range(event: dict[str, Any]) -> Range:
    return event["from_sequence"], event["to_sequence"]
