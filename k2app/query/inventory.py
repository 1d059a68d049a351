"""What there is: symbols, and the size of the tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from k2app.query.filters import Filter, equal, none_of
from k2app.query.reader import GAPS, QUOTES, REFERENCE_DATA, TRADES, Reader
from k2app.query.requests import StatsRequest, SymbolsRequest
from k2app.query.result import Result
from k2app.query.rows import duplicates_notice
from k2app.query.snapshots import SnapshotSet
from k2app.query.visibility import DUPLICATE, judge, retracted_loads, retracted_notice

TIME = pa.timestamp("us", tz="UTC")

SYMBOLS_SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("exchange", pa.string()),
        ("asset_class", pa.string()),
        ("name", pa.string()),
        ("trades", pa.int64()),
        ("quotes", pa.int64()),
        ("first_timestamp", TIME),
        ("last_timestamp", TIME),
    ]
)
"""One row per symbol, exchange and asset class that has trades or quotes (duplicates not counted, rows of retracted
loads left out), in that order;
`name` is the newest in the reference data, null where there is none."""

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

_NAMES = """
SELECT symbol, exchange, last(name ORDER BY committed_at, log_id, topic, "partition", "offset") AS name
FROM matching GROUP BY ALL
"""

_TABLE_COUNTS = {
    TRADES: "count(DISTINCT symbol) AS symbols, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp",
    QUOTES: "count(DISTINCT symbol) AS symbols, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp",
    GAPS: "count(DISTINCT symbol) AS symbols, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp",
    REFERENCE_DATA: "count(DISTINCT symbol) AS symbols",
}
"""What is counted over the rows of a table."""

_Key = tuple[str, str, str]


def read_symbols(reader: Reader, request: SymbolsRequest) -> Result:
    """List the symbols that have trades or quotes."""
    found = reader.snapshots.resolve(
        (TRADES, QUOTES), (REFERENCE_DATA,), request, include_retracted=request.include_retracted
    )
    terms = equal("exchange", request.exchange)
    counts = {table: _counts(reader, found, table, terms) for table in (TRADES, QUOTES)}
    standing = none_of("load_id", retracted_loads(reader, found, REFERENCE_DATA))
    names = {
        (row["symbol"], row["exchange"]): row["name"]
        for row in reader.query(found, REFERENCE_DATA, (*terms, *standing), _NAMES).to_pylist()
    }
    keys = sorted(
        {key for table in counts.values() for key, row in table.items() if row["first"] is not None}
    )
    rows = [
        _symbol(key, counts[TRADES].get(key), counts[QUOTES].get(key), names.get(key[:2])) for key in keys
    ]
    hidden, retracted = (
        sum(row[kind] for table in counts.values() for row in table.values())
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


def _counts(reader: Reader, found: SnapshotSet, table: str, terms: Filter) -> dict[_Key, dict[str, Any]]:
    judged = judge(reader, found, table, terms)
    rows = reader.query(found, table, terms, judged.sql + _COUNTS, judged.parameters).to_pylist()
    return {(row["symbol"], row["exchange"], row["asset_class"]): row for row in rows}


def _symbol(
    key: _Key, trades: dict[str, Any] | None, quotes: dict[str, Any] | None, name: str | None
) -> dict[str, Any]:
    both = [counts for counts in (trades, quotes) if counts is not None and counts["first"] is not None]
    return {
        "symbol": key[0],
        "exchange": key[1],
        "asset_class": key[2],
        "name": name,
        "trades": 0 if trades is None else trades["visible"],
        "quotes": 0 if quotes is None else quotes["visible"],
        "first_timestamp": min(counts["first"] for counts in both),
        "last_timestamp": max(counts["last"] for counts in both),
    }


def _stats(reader: Reader, found: SnapshotSet, table: str) -> dict[str, Any]:
    files = reader.files(found, table, ())
    counted: dict[str, Any] = {}
    if table in _TABLE_COUNTS:
        counted = reader.query(found, table, (), f"SELECT {_TABLE_COUNTS[table]} FROM matching").to_pylist()[
            0
        ]
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
