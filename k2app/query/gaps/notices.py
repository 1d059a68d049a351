"""What an answer says of open gaps that its range has holes from."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from k2app.market.sessions import DAY_US
from k2app.query.answers.result import Notice
from k2app.query.coverage.dates import date_of
from k2app.query.gaps.gaps import Gap, Scope, fold
from k2app.query.reading.filters import Filter, any_of, between, equal
from k2app.query.reading.reader import GAPS, Reader
from k2app.query.reading.snapshots import SnapshotSet

SPARE_DAYS = 3
"""More days than a trading date may be away from the UTC date."""

_SCOPE = "exchange, asset_class, data_type, symbol, coalesce(trading_date, DATE '0001-01-01'), epoch"

_EVENTS = f"""
, events AS (
  SELECT event, exchange, asset_class, data_type, symbol, trading_date, epoch, from_sequence, to_sequence,
    epoch_us(timestamp) AS timestamp_us
  FROM matching)
, opened AS (
  SELECT * FROM events WHERE event = 'opened' AND ($start_us::BIGINT IS NULL OR timestamp_us >= $start_us)
    AND ($end_us::BIGINT IS NULL OR timestamp_us < $end_us
      -- A gap that was seen later may begin before the end: not that of a later date.
      OR trading_date IS NULL OR trading_date - DATE '1970-01-01' <= $end_us // {DAY_US} + {SPARE_DAYS}))
SELECT * FROM opened UNION ALL
SELECT * FROM events WHERE event <> 'opened' AND ({_SCOPE}) IN (SELECT ({_SCOPE}) FROM opened)
"""

NAMED = 3
"""Gaps that a warning names; the gaps query lists them all."""


def gap_notices(
    reader: Reader,
    found: SnapshotSet,
    data_type: str,
    names: Filter,
    start_us: int | None,
    end_us: int | None,
) -> tuple[Notice, ...]:
    """What is said of open gaps that overlap `[start, end)`; nothing of none.

    Parameters
    ----------
    names
        Terms on symbol and exchange.

    Notes
    -----
    A gap is stamped with the record that showed it, the first one *after* the hole. So it overlaps if that
    record lies in the range; or if it lies beyond the end, and the record before the hole lies before the end.
    """
    gaps = _open_gaps(reader, found, (*names, *equal("data_type", data_type)), start_us, end_us)
    inside = [gap for gap in gaps if end_us is None or gap.timestamp_us < end_us]
    beyond = [] if end_us is None else _first_beyond(gaps, end_us)
    across = [] if end_us is None else _across(reader, found, data_type, beyond, end_us)
    return _notices([*inside, *across])


def _open_gaps(
    reader: Reader, found: SnapshotSet, terms: Filter, start_us: int | None, end_us: int | None
) -> list[Gap]:
    """Open gaps seen from the start on, as far as they can overlap the range; ordered by scope and number.

    Notes
    -----
    A lake may have millions of events: those outside of the range stay in DuckDB. What closes a gap may have any time,
    so of the gaps that count every closing event is read.
    """
    shown = (*equal("event", "opened"), *between("timestamp", start_us, None))
    if not reader.files(found, GAPS, (*terms, *shown)):
        return []
    range_us = {"start_us": start_us, "end_us": end_us}
    events = reader.query(found, GAPS, terms, _EVENTS, range_us).to_pylist()
    return [gap for gap in fold(events) if gap.state == "open"]


def _first_beyond(gaps: list[Gap], end_us: int) -> list[Gap]:
    """Of each scope the first gap seen at or after the end: only its hole can begin before."""
    beyond = (gap for gap in gaps if gap.timestamp_us >= end_us)
    return [min(group, key=lambda gap: gap.start) for _, group in groupby(beyond, key=lambda gap: gap.scope)]


def _across(reader: Reader, found: SnapshotSet, table: str, gaps: list[Gap], end_us: int) -> list[Gap]:
    if not gaps:
        return []
    before = _times_before(reader, found, table, gaps)
    return [
        gap
        for gap in gaps
        if _begins_before(reader, gap, before.get(_place(gap.scope, gap.start - 1)), end_us)
    ]


def _begins_before(reader: Reader, gap: Gap, before_us: int | None, end_us: int) -> bool:
    """Whether a hole begins before the end; where no record stands before it, whether its trading date does."""
    if before_us is not None:
        return before_us < end_us
    last = date_of(reader.exchanges.get(gap.scope.exchange), end_us - 1)
    return gap.scope.trading_date is not None and gap.scope.trading_date <= last


def _times_before(
    reader: Reader, found: SnapshotSet, table: str, gaps: list[Gap]
) -> dict[tuple[object, ...], int]:
    """Event time of the record before each hole, by scope and sequence."""
    terms = (
        *any_of("symbol", {gap.scope.symbol for gap in gaps}),
        *any_of("sequence", {gap.start - 1 for gap in gaps}),
    )
    body = (
        "SELECT exchange, symbol, trading_date, epoch, sequence, epoch_us(min(timestamp)) AS us "
        "FROM matching GROUP BY ALL"
    )
    dated = {(gap.scope.exchange, gap.scope.symbol, gap.scope.trading_date is not None) for gap in gaps}
    times: dict[tuple[object, ...], int] = {}
    for row in reader.query(found, table, terms, body).to_pylist():
        day = row["trading_date"] if (row["exchange"], row["symbol"], True) in dated else None
        times[row["exchange"], row["symbol"], day, row["epoch"], row["sequence"]] = row["us"]
    return times


def _place(scope: Scope, sequence: int) -> tuple[object, ...]:
    return scope.exchange, scope.symbol, scope.trading_date, scope.epoch, sequence


def _notices(gaps: list[Gap]) -> tuple[Notice, ...]:
    if not gaps:
        return ()
    missing = sum(gap.missing for gap in gaps)
    more = "" if len(gaps) <= NAMED else f"; and {len(gaps) - NAMED} more"
    holes = "1 open sequence gap" if len(gaps) == 1 else f"{len(gaps)} open sequence gaps"
    message = f"{holes} in the range, {missing} missing: {_list(gaps[:NAMED])}{more}"
    return (Notice("open_gaps", message, len(gaps)),)


def _list(gaps: Iterable[Gap]) -> str:
    return "; ".join(map(_named, gaps))


def _named(gap: Gap) -> str:
    numbers = f"{gap.start}" if gap.start == gap.end else f"{gap.start} to {gap.end}"
    on = "" if gap.scope.trading_date is None else f" on {gap.scope.trading_date}"
    return f"{gap.scope.symbol} at {gap.scope.exchange}{on}: {numbers}"
