"""A trading day in one row: open, high, low, close, volume, VWAP.

Sums are exact decimals. The VWAP is divided outside DuckDB, whose decimal division goes through doubles.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from k2app.errors import OperatorError
from k2app.query.answers.result import Notice, Result
from k2app.query.bars.left_out import off_market
from k2app.query.bars.order import order_of_all
from k2app.query.bars.vwap import divide_one
from k2app.query.coverage.dates import date_of
from k2app.query.decimals import NEWEST_PRICE, type_of
from k2app.query.gaps.gaps import Gap, open_gaps
from k2app.query.reading.file_bounds import file_bounds
from k2app.query.reading.filters import Filter, Term, equal
from k2app.query.reading.reader import GAPS, TRADES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE, judge, retracted_notice
from k2app.query.requests import SummariesRequest, SummaryRequest
from k2app.query.rows import duplicates_notice, unknown_notices

NOTIONAL_DIGITS = 38
"""Digits of the notional's decimal(38, 16). DuckDB adds in 128 bits, which hold a little more."""

PRICES = ("open", "high", "low", "close")
"""Columns of the type that prices have in the snapshot."""

SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("exchange", pa.string()),
        ("asset_class", pa.string()),
        ("currency", pa.string()),
        ("trading_date", pa.date32()),
        *((name, NEWEST_PRICE) for name in PRICES),
        ("vwap", pa.decimal128(38, 8)),
        ("volume", pa.decimal128(38, 8)),
        ("notional", pa.decimal128(NOTIONAL_DIGITS, 16)),
        ("trades", pa.int64()),
        ("off_market_volume", pa.decimal128(38, 8)),
        ("off_market_trades", pa.int64()),
        ("first_timestamp", pa.timestamp("us", tz="UTC")),
        ("last_timestamp", pa.timestamp("us", tz="UTC")),
        ("open_gaps", pa.int64()),
        ("duplicates_hidden", pa.int64()),
        ("retracted_hidden", pa.int64()),
    ]
)
"""One row per symbol, exchange, asset class, currency and trading date, in that order of columns; no rows where
nothing was traded. Prices, `volume`, `notional` and `trades` are of the market's own prints; prints off it
(the exchange's rule) are counted apart. Prices and VWAP are null where there were only such. Times are of all."""

_KEY = "symbol, exchange, asset_class, currency, trading_date"

_BODY = f"""
, marked AS (
  SELECT *, NOT duplicate AND NOT retracted AS visible, {{off_market}} AS off, {{nth}} AS nth FROM judged)
SELECT {_KEY},
  arg_min(price, nth) FILTER (visible AND NOT off) AS open,
  max(price) FILTER (visible AND NOT off) AS high,
  min(price) FILTER (visible AND NOT off) AS low,
  arg_max(price, nth) FILTER (visible AND NOT off) AS close,
  coalesce(sum(quantity) FILTER (visible AND NOT off), 0::DECIMAL(38, 8)) AS volume,
  coalesce(sum(price::DECIMAL(38, 8) * quantity) FILTER (visible AND NOT off), 0::DECIMAL(38, 16)) AS notional,
  count(*) FILTER (visible AND NOT off) AS trades,
  coalesce(sum(quantity) FILTER (visible AND off), 0::DECIMAL(38, 8)) AS off_market_volume,
  count(*) FILTER (visible AND off) AS off_market_trades,
  min(timestamp) FILTER (visible) AS first_timestamp,
  max(timestamp) FILTER (visible) AS last_timestamp,
  count(*) FILTER (duplicate AND NOT retracted) AS duplicates_hidden,
  count(*) FILTER (retracted AND sequence_flag <> '{DUPLICATE}') AS retracted_hidden
FROM marked GROUP BY {_KEY} ORDER BY {_KEY}
"""


def read_summary(reader: Reader, request: SummaryRequest) -> Result:
    """Sum up one symbol's trading date; a row for each exchange it traded on.

    Raises
    ------
    OperatorError
        A sum does not fit decimal(38, 16).
    """
    found = _resolve(reader, request)
    names = (*equal("symbol", request.symbol), *equal("exchange", request.exchange))
    result = _read(reader, found, names, equal("trading_date", request.date))
    absent = unknown_notices(reader, found, TRADES, {request.symbol}, result.rows)
    return Result(result.rows, result.snapshots, result.as_of_us, None, (*result.warnings, *absent))


def read_summaries(reader: Reader, request: SummariesRequest) -> Result:
    """Sum up every symbol of one trading date or several, `[start_date, end_date)`.

    Raises
    ------
    OperatorError
        A sum does not fit decimal(38, 16).
    """
    found = _resolve(reader, request)
    return _read(reader, found, equal("exchange", request.exchange), _dates(request))


def _dates(request: SummariesRequest) -> Filter:
    """The dates; of the last one that there is, no date comes after."""
    start, end = request.start_date, request.end_date
    if end is None:
        return equal("trading_date", start)
    return (Term("trading_date", ">=", start), Term("trading_date", "<", end))


def _resolve(reader: Reader, request: SummaryRequest | SummariesRequest) -> SnapshotSet:
    return reader.snapshots.resolve((TRADES,), (GAPS,), request, include_retracted=request.include_retracted)


def _read(reader: Reader, found: SnapshotSet, names: Filter, dates: Filter) -> Result:
    scope = (*names, *dates)
    known = file_bounds(reader, found, TRADES, scope)
    rule = off_market(known, reader.exchanges)
    judged = judge(reader, found, TRADES, scope)
    body = judged.sql + _BODY.format(off_market=rule.sql or "false", nth=order_of_all(known))
    summed = reader.query(found, TRADES, scope, body, {**rule.parameters, **judged.parameters})
    gaps = _gaps_by_day(reader, open_gaps(reader, found, (*names, *equal("data_type", TRADES))))
    rows = [_finish(row, gaps) for row in summed.to_pylist()]
    # Where every row is of a retracted load nothing was traded; the warning counts it all the same.
    traded = [row for row in rows if row["first_timestamp"] is not None or not row["retracted_hidden"]]
    table = pa.Table.from_pylist(traded, schema=_schema(type_of(reader, found, "price")))
    return Result(table, found.ids, found.as_of_us, None, _notices(rows))


def _schema(price: pa.DataType) -> pa.Schema:
    """`SCHEMA`, with prices of this type."""
    return pa.schema([field.with_type(price) if field.name in PRICES else field for field in SCHEMA])


def _finish(row: dict[str, Any], gaps: Mapping[tuple[str, str, str, date], int]) -> dict[str, Any]:
    """Divide the VWAP and count the gaps; check what DuckDB does not."""
    if row["notional"].adjusted() >= NOTIONAL_DIGITS - 16:
        raise OperatorError(
            f"the notional of {row['symbol']} on {row['trading_date']} does not fit decimal(38, 16)"
        )
    key = (row["symbol"], row["exchange"], row["asset_class"], row["trading_date"])
    return {**row, "vwap": divide_one(row["notional"], row["volume"]), "open_gaps": gaps.get(key, 0)}


def _gaps_by_day(reader: Reader, gaps: list[Gap]) -> dict[tuple[str, str, str, date], int]:
    """Open gaps per symbol, exchange, asset class and trading date: of the scope, or of the record that showed it."""
    counts: dict[tuple[str, str, str, date], int] = {}
    for gap in gaps:
        scope = gap.scope
        day = scope.trading_date or date_of(reader.exchanges.get(scope.exchange), gap.timestamp_us)
        key = (scope.symbol, scope.exchange, scope.asset_class, day)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _notices(rows: list[dict[str, Any]]) -> tuple[Notice, ...]:
    duplicates = duplicates_notice(sum(row["duplicates_hidden"] for row in rows))
    gaps = sum(row["open_gaps"] for row in rows)
    off = sum(row["off_market_trades"] for row in rows)
    said = [*duplicates, *retracted_notice(sum(row["retracted_hidden"] for row in rows))]
    if gaps:
        holes = "1 open sequence gap" if gaps == 1 else f"{gaps} open sequence gaps"
        said.append(Notice("open_gaps", f"{holes} on these dates; see gaps", gaps))
    if off:
        prints = "1 print" if off == 1 else f"{off} prints"
        message = f"{prints} off the market left out of prices, volume and VWAP (the exchange's rule)"
        said.append(Notice("off_market_left_out", message, off))
    return tuple(said)
