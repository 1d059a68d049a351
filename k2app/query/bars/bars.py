"""Bars: open, high, low, close, volume and VWAP of any interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.avro.int128 import from_arrow, within
from k2app.errors import OperatorError
from k2app.market.clocks import UtcClock
from k2app.query.answers.page import Key, from_cursor, to_cursor
from k2app.query.answers.result import Notice, Result
from k2app.query.answers.stream import Stream, result_to_stream
from k2app.query.bars.clocks import Clocks, cuts_intervals, session_clocks
from k2app.query.bars.fill import Gaps
from k2app.query.bars.left_out import LeftOut, by_conditions, off_market
from k2app.query.bars.request import BarsRequest
from k2app.query.bars.sql import HIDDEN, KEYS, LEFT_OUT, RETRACTED, BarsSql
from k2app.query.bars.vwap import VWAP, divide
from k2app.query.decimals import NEWEST_PRICE, type_of
from k2app.query.gaps.notices import gap_notices
from k2app.query.reading.bounds import Known
from k2app.query.reading.file_bounds import file_bounds
from k2app.query.reading.filters import Filter, Term, between, named
from k2app.query.reading.reader import GAPS, PAGE_OR_STREAM, TRADES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import committed_notice, judge, retracted_notice
from k2app.query.rows import unknown_notices

TIME = pa.timestamp("us", tz="UTC")

SUM_DIGITS = 38
"""Digits of a sum's decimal. DuckDB adds in 128 bits, which hold a little more."""

KEY_TYPES = (str, str, str, int)
"""Types of the key in a cursor: symbol, exchange, currency, start of the bar in microseconds."""


def schema_of(price: pa.DataType) -> pa.Schema:
    """Schema of bars of trades whose prices have this type; see `SCHEMA`."""
    return pa.schema(
        [
            ("timestamp", TIME),
            ("symbol", pa.string()),
            ("exchange", pa.string()),
            ("currency", pa.string()),
            ("open", price),
            ("high", price),
            ("low", price),
            ("close", price),
            ("volume", pa.decimal128(38, 8)),
            ("vwap", VWAP),
            ("trades", pa.int64()),
            ("notional", pa.decimal128(38, 16)),
            ("first_timestamp", TIME),
            ("last_timestamp", TIME),
        ]
    )


SCHEMA = schema_of(NEWEST_PRICE)
"""One row per symbol, exchange, currency and interval, in that order; `timestamp` is the start of the interval.

A bar is of the visible trades in `[start, end)` that the rule does not leave out: where the range cuts an interval, its
first or last bar is of a part of it, and a warning says so. Open and close are the first and last in the total order
of trades. VWAP is null where the volume is 0. Intervals without trades are absent, or filled: from `start` (else the
key's first bar) to `end` (else its last), nights and holidays too; then `volume`, `notional` and `trades` are 0, the
times and the VWAP null, the prices null or (`previous`) those of the close before. A key without any trade in the
range has no bars. Prices have the type that they have in the snapshot.
"""


def read_bars(reader: Reader, request: BarsRequest) -> Result:
    """Read a page of bars; see `SCHEMA`.

    Raises
    ------
    RequestError
        The limit is larger than allowed, the cursor is not one for this request, or `fill` would make too many.
    OperatorError
        A sum does not fit its decimal.
    """
    reader.check_limit(request.limit, PAGE_OR_STREAM)
    return _read(reader, request, request.limit)


def stream_bars(reader: Reader, request: BarsRequest) -> Stream:
    """Read bars of any number; as `read_bars`, but all of them unless a limit is given."""
    limit = request.limit if "limit" in request.model_fields_set else None
    return result_to_stream(_read(reader, request, limit))


@dataclass(frozen=True)
class _Asked:
    """One page of one question."""

    request: BarsRequest
    found: SnapshotSet
    after: Key | None

    @property
    def names(self) -> Filter:
        return named(self.request.symbol, self.request.exchange)

    @property
    def scope(self) -> Filter:
        """Every trade of the range, on whichever page."""
        return (*self.names, *between("timestamp", self.request.start, self.request.end))

    @property
    def left(self) -> Filter:
        """Trades of this page and those after it, and perhaps a few before."""
        return self.scope if self.after is None else (*self.scope, Term("symbol", ">=", str(self.after[0])))


def _read(reader: Reader, request: BarsRequest, limit: int | None) -> Result:
    asked = _open(reader, request)
    sql = _sql(reader, asked)
    bars, counts = _fetch(reader, asked, sql, limit)
    if request.fill != "none":
        gaps = Gaps(sql.clocks, request.start, request.end, request.fill == "previous")
        bars = _behind(gaps.fill(bars), asked.after)
    more = limit is not None and bars.num_rows > limit
    shown = _finished(bars.slice(0, limit), schema_of(type_of(reader, asked.found, "price")))
    return Result(
        rows=shown,
        snapshots=asked.found.ids,
        as_of_us=asked.found.as_of_us,
        next=_next(asked, shown) if more else None,
        warnings=_notices(reader, asked, sql, shown, counts, complete=asked.after is None),
    )


def _open(reader: Reader, request: BarsRequest) -> _Asked:
    if request.cursor is None:
        found = reader.snapshots.resolve(
            (TRADES,), (GAPS,), request, include_retracted=request.include_retracted
        )
        return _Asked(request, found, None)
    place = from_cursor(request.cursor, _question(request), KEY_TYPES)
    return _Asked(request, reader.snapshots.resume((TRADES,), (GAPS,), place), place.key)


def _question(request: BarsRequest) -> list[object]:
    return ["bars", request.identity()]


def _sql(reader: Reader, asked: _Asked) -> BarsSql:
    known = file_bounds(reader, asked.found, TRADES, asked.scope)
    return BarsSql(
        known,
        _clocks(reader, asked, known),
        _left_out(reader, asked.request, known),
        judge(reader, asked.found, TRADES, asked.scope),
    )


def _left_out(reader: Reader, request: BarsRequest, known: Known) -> LeftOut:
    if request.all_conditions:
        return LeftOut()
    if request.exclude_conditions:
        return by_conditions(known, request.exclude_conditions)
    return off_market(known, reader.exchanges)


def _clocks(reader: Reader, asked: _Asked, known: Known) -> Clocks:
    request = asked.request
    utc = UtcClock(request.length)
    if request.align == "utc":
        return Clocks(utc)
    times = _times(reader, asked, known)
    if request.fill != "none":
        times += [time for time in (request.start, request.end) if time is not None]
    exchanges = reader.exchanges
    if request.exchange is not None:
        exchanges = {name: exchanges[name] for name in (request.exchange,) if name in exchanges}
    return session_clocks(utc, exchanges, min(times), max(times)) if times else Clocks(utc)


def _times(reader: Reader, asked: _Asked, known: Known) -> list[int]:
    """No trade of the range is earlier or later than these; none where there is no trade."""
    bounds = known.get("timestamp")
    if bounds is not None and isinstance(bounds.low, int) and isinstance(bounds.high, int):
        low, high = bounds.low, bounds.high
    else:
        body = "SELECT epoch_us(min(timestamp)) AS low, epoch_us(max(timestamp)) AS high FROM matching"
        (row,) = reader.query(asked.found, TRADES, asked.scope, body).to_pylist()
        if row["low"] is None:
            return []
        low, high = row["low"], row["high"]
    start, end = asked.request.start, asked.request.end
    return [low if start is None else max(low, start), high if end is None else min(high, end)]


def _fetch(
    reader: Reader, asked: _Asked, sql: BarsSql, limit: int | None
) -> tuple[pa.Table, Mapping[int, int]]:
    """Bars after the page before (filling: all of their keys), one more than the limit; and trades by status."""
    filling = asked.request.fill != "none"
    after = asked.after[: len(KEYS)] if filling and asked.after is not None else asked.after
    rows = None if filling or limit is None else limit + 1
    body, parameters = sql.bars(after, rows, counted=asked.after is None)
    found = reader.query(asked.found, TRADES, asked.left, body, parameters)
    if "status" in found.column_names:
        is_bar = found["status"].is_null()
        counted = found.filter(pc.invert(is_bar))
        bars = found.filter(is_bar).drop_columns(["status"])
    else:
        bars, counted = found, found.slice(0, 0)
    if asked.after is not None:
        counts = sql.counts()
        counted = None if counts is None else reader.query(asked.found, TRADES, asked.scope, *counts)
    return bars.combine_chunks(), _by_status(counted)


def _by_status(counted: pa.Table | None) -> dict[int, int]:
    if counted is None or counted.num_rows == 0:
        return {}
    return dict(zip(counted["status"].to_pylist(), counted["trades"].to_pylist(), strict=True))


def _behind(bars: pa.Table, after: Key | None) -> pa.Table:
    """Filled bars without those up to a key; all of them are of this key's names, or later ones."""
    if after is None:
        return bars
    seen = pc.less_equal(bars["start"], int(after[3] or 0))
    for name, value in zip(KEYS, after, strict=False):
        seen = pc.and_(seen, pc.equal(bars[name], value))
    return bars.filter(pc.invert(seen)).combine_chunks()


def _finished(bars: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bars under their schema, with the VWAP."""
    notional, volume = (_whole(bars[name]) for name in ("notional", "volume"))
    for name, column in (("notional", notional), ("volume", volume)):
        outside = np.flatnonzero(~within(from_arrow(column), SUM_DIGITS))
        if len(outside):
            symbol = bars["symbol"][int(outside[0])].as_py()
            raise OperatorError(
                f"the {name} of a bar of {symbol} does not fit {SUM_DIGITS} digits; take a shorter interval"
            )
    columns = {name: bars[name] for name in bars.column_names}
    columns |= {
        "timestamp": bars["start"].cast(pa.timestamp("us")).cast(TIME),
        "vwap": divide(notional, volume),
    }
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.array([], column.type)])


def _next(asked: _Asked, shown: pa.Table) -> str:
    last = shown.slice(shown.num_rows - 1, 1)
    key = (*(last[name][0].as_py() for name in KEYS), last["timestamp"].cast(pa.int64())[0].as_py())
    return to_cursor(asked.found.place(key), _question(asked.request))


def _notices(
    reader: Reader, asked: _Asked, sql: BarsSql, shown: pa.Table, counts: Mapping[int, int], *, complete: bool
) -> tuple[Notice, ...]:
    request = asked.request
    gaps = gap_notices(reader, asked.found, TRADES, asked.names, request.start, request.end)
    absent = unknown_notices(reader, asked.found, TRADES, set(request.symbol), shown) if complete else ()
    return (
        *committed_notice(asked.found, TRADES),
        *_hidden(counts, sql.left_out),
        *_partial(asked, sql.clocks, shown),
        *gaps,
        *absent,
    )


def _hidden(counts: Mapping[int, int], left_out: LeftOut) -> tuple[Notice, ...]:
    said = []
    if counts.get(HIDDEN):
        message = (
            f"{counts[HIDDEN]} duplicates of the range left out; trades with include_duplicates shows them"
        )
        said.append(Notice("duplicates_hidden", message, counts[HIDDEN]))
    said += retracted_notice(counts.get(RETRACTED, 0))
    if counts.get(LEFT_OUT):
        trades = "1 trade" if counts[LEFT_OUT] == 1 else f"{counts[LEFT_OUT]} trades"
        message = f"{trades} left out by rule ({left_out.rule}); all_conditions keeps them"
        said.append(Notice("off_market_left_out", message, counts[LEFT_OUT]))
    return tuple(said)


def _partial(asked: _Asked, clocks: Clocks, shown: pa.Table) -> tuple[Notice, ...]:
    """Which end of the range cuts an interval, on the clock of an exchange that has bars."""
    exchanges = pc.unique(shown["exchange"]).to_pylist()
    ends = {"start": asked.request.start, "end": asked.request.end}
    cut = [name for name, us in ends.items() if us is not None and cuts_intervals(clocks, exchanges, us)]
    if not cut:
        return ()
    message = f"{' and '.join(cut)} cut an interval: the bars there are of its trades in [start, end) only"
    return (Notice("partial_bars", message, len(cut)),)
