"""What there is: symbols, and the size of the tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from k2app.query.answers.result import Result
from k2app.query.reading.filters import Filter, equal, none_of
from k2app.query.reading.reader import GAPS, QUOTES, REFERENCE_DATA, TRADES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE, judge, retracted_loads, retracted_notice
from k2app.query.requests import StatsRequest, SymbolsRequest
from k2app.query.rows import duplicates_notice

TIME = pa.timestamp("us", tz="UTC")

SYMBOLS_SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("exchange", pa.string()),
        ("asset_class", pa.string()),
        ("name", pa.string()),
        ("isin", pa.string()),
        ("currency", pa.string()),
        ("listed_from", pa.date32()),
        ("listed_to", pa.date32()),
        ("trades", pa.int64()),
        ("quotes", pa.int64()),
        ("first_timestamp", TIME),
        ("last_timestamp", TIME),
    ]
)
"""One row per symbol, exchange and asset class that has trades or quotes (duplicates not counted, rows of retracted
loads left out), in that order. `name` to `listed_to` are of the newest record of its reference data (of those valid on
the date asked for: from `listed_from` to `listed_to`, both inclusive, null is open), null where there is none.
Reference data counts as of the moment asked, whether rows were committed since or not."""

STATS_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("snapshot_id", pa.int64()),
        ("rows", pa.int64()),
        ("files", pa.int64()),
        ("bytes", pa.int64()),
        ("symbols", pa.int64()),
        ("first_timestamp", TIME),
        ("last_timestamp", TIME),
        ("flags", pa.map_(pa.string(), pa.int64())),
    ]
)
"""One row per table; what a table has no column for is null. `rows` counts every row stored, duplicates too."""

_STATS_TABLES = (TRADES, QUOTES, REFERENCE_DATA, GAPS, "dead_letters")

_COUNTS = f"""
SELECT symbol, exchange, asset_class, count(*) FILTER (NOT duplicate AND NOT retracted) AS visible,
  count(*) FILTER (duplicate AND NOT retracted) AS hidden,
  count(*) FILTER (retracted AND sequence_flag <> '{DUPLICATE}') AS retracted,
  min(timestamp) FILTER (NOT retracted) AS first, max(timestamp) FILTER (NOT retracted) AS last
FROM judged GROUP BY ALL
"""

_RECORD = ("name", "isin", "currency", "listed_from", "listed_to")
"""What is shown of a record of reference data."""

_RECORDS = f"""
SELECT symbol, exchange, {", ".join(_RECORD)} FROM (
  SELECT *, row_number() OVER (PARTITION BY symbol, exchange ORDER BY committed_at DESC, log_id DESC, topic DESC,
    "partition" DESC, "offset" DESC) AS nth
  FROM matching
  WHERE $on::DATE IS NULL OR (coalesce(listed_from <= $on, true) AND coalesce(listed_to >= $on, true)))
WHERE nth = 1
"""

_TABLE_COUNTS = {
    TRADES: "count(DISTINCT symbol) AS symbols, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp",
    QUOTES: "count(DISTINCT symbol) AS symbols, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp",
    GAPS: "count(DISTINCT symbol) AS symbols, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp",
    REFERENCE_DATA: "count(DISTINCT symbol) AS symbols",
}
"""What is counted over the rows of a table."""

Key = tuple[str, str, str]
"""Symbol, exchange, asset class."""


def read_symbols(reader: Reader, request: SymbolsRequest) -> Result:
    """List the symbols that have trades or quotes."""
    # Reference data is no less asked for than rows: what was committed of it after them counts.
    found = reader.snapshots.resolve(
        (TRADES, QUOTES, REFERENCE_DATA), (), request, include_retracted=request.include_retracted
    )
    terms = equal("exchange", request.exchange)
    rows_of = {table: counts(reader, found, table, terms) for table in (TRADES, QUOTES)}
    records = _records(reader, found, request)
    keys = sorted(
        {key for table in rows_of.values() for key, row in table.items() if row["first"] is not None}
    )
    rows = [
        _symbol(key, rows_of[TRADES].get(key), rows_of[QUOTES].get(key), records.get(key[:2], {}))
        for key in keys
    ]
    hidden, retracted = (
        sum(row[kind] for table in rows_of.values() for row in table.values())
        for kind in ("hidden", "retracted")
    )
    warnings = (*duplicates_notice(hidden), *retracted_notice(retracted))
    return Result(
        pa.Table.from_pylist(rows, schema=SYMBOLS_SCHEMA), found.ids, found.as_of_us, None, warnings
    )


def read_stats(reader: Reader, request: StatsRequest) -> Result:
    """Count rows, files and bytes of the tables."""
    found = reader.snapshots.resolve(_STATS_TABLES, (), request)
    rows = [_stats(reader, found, table) for table in _STATS_TABLES]
    return Result(pa.Table.from_pylist(rows, schema=STATS_SCHEMA), found.ids, found.as_of_us)


def counts(reader: Reader, found: SnapshotSet, table: str, terms: Filter) -> dict[Key, dict[str, Any]]:
    """Rows of trades or quotes by symbol, exchange and asset class.

    Returns
    -------
    dict
        `visible`, `hidden` (duplicates) and `retracted` rows; `first` and `last` event time of what is not retracted,
        None where everything is.
    """
    judged = judge(reader, found, table, terms)
    rows = reader.query(found, table, terms, judged.sql + _COUNTS, judged.parameters).to_pylist()
    return {(row["symbol"], row["exchange"], row["asset_class"]): row for row in rows}


def _records(
    reader: Reader, found: SnapshotSet, request: SymbolsRequest
) -> dict[tuple[str, str], dict[str, Any]]:
    """The record of reference data by symbol and exchange."""
    standing = none_of("load_id", retracted_loads(reader, found, REFERENCE_DATA))
    terms = (*equal("exchange", request.exchange), *standing)
    rows = reader.query(found, REFERENCE_DATA, terms, _RECORDS, {"on": request.date}).to_pylist()
    return {(row["symbol"], row["exchange"]): row for row in rows}


def _symbol(
    key: Key, trades: dict[str, Any] | None, quotes: dict[str, Any] | None, record: dict[str, Any]
) -> dict[str, Any]:
    both = [rows for rows in (trades, quotes) if rows is not None and rows["first"] is not None]
    return {
        "symbol": key[0],
        "exchange": key[1],
        "asset_class": key[2],
        **{column: record.get(column) for column in _RECORD},
        "trades": 0 if trades is None else trades["visible"],
        "quotes": 0 if quotes is None else quotes["visible"],
        "first_timestamp": min(rows["first"] for rows in both),
        "last_timestamp": max(rows["last"] for rows in both),
    }


def _stats(reader: Reader, found: SnapshotSet, table: str) -> dict[str, Any]:
    files = reader.files(found, table, ())
    counted: dict[str, Any] = {}
    if table in _TABLE_COUNTS:
        counted = reader.query(found, table, (), f"SELECT {_TABLE_COUNTS[table]} FROM matching").to_pylist()[
            0
        ]
    rows = sum(file.rows for file in files)
    if found.cut_us(table) is not None:
        rows = reader.query(found, table, (), "SELECT count(*) AS n FROM matching")["n"][0].as_py()
    return {
        "table": table,
        "snapshot_id": found.ids[table],
        "rows": rows,
        "files": len(files),
        "bytes": sum(file.size_bytes for file in files),
        **counted,
        "flags": _flags(reader, found, table) if table in {TRADES, QUOTES} else None,
    }


def _flags(reader: Reader, found: SnapshotSet, table: str) -> list[tuple[str, int]]:
    body = "SELECT sequence_flag, count(*) AS n FROM matching GROUP BY ALL ORDER BY ALL"
    return [(row["sequence_flag"], row["n"]) for row in reader.query(found, table, (), body).to_pylist()]
