"""From when to when there is something, by table and symbol."""

from __future__ import annotations

import pyarrow as pa

from k2app.query.answers.result import Result
from k2app.query.coverage.inventory import TIME, counts
from k2app.query.coverage.requests import RangeRequest
from k2app.query.reading.filters import named
from k2app.query.reading.reader import QUOTES, TRADES, Reader
from k2app.query.reading.visibility import retracted_notice
from k2app.query.rows import duplicates_notice, unknown_notices

SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("symbol", pa.string()),
        ("exchange", pa.string()),
        ("asset_class", pa.string()),
        ("first_timestamp", TIME),
        ("last_timestamp", TIME),
        ("rows", pa.int64()),
    ]
)
"""One row per table, symbol, exchange and asset class that has rows, in that order (trades first): event time of the
first and of the last one (a range [start, end) that has them all ends after it), and how many there are, duplicates and
rows of retracted loads left out."""


def read_range(reader: Reader, request: RangeRequest) -> Result:
    """Read first and last event times."""
    tables = (TRADES, QUOTES) if request.data_type is None else (request.data_type,)
    found = reader.snapshots.resolve(tables, (), request, include_retracted=request.include_retracted)
    terms = named(request.symbol, request.exchange)
    counted = {table: counts(reader, found, table, terms) for table in tables}
    rows = [
        {
            "table": table,
            **dict(zip(("symbol", "exchange", "asset_class"), key, strict=True)),
            "first_timestamp": row["first"],
            "last_timestamp": row["last"],
            "rows": row["visible"],
        }
        for table, by_key in counted.items()
        for key, row in sorted(by_key.items())
        if row["first"] is not None
    ]
    shown = pa.Table.from_pylist(rows, schema=SCHEMA)
    every = [row for by_key in counted.values() for row in by_key.values()]
    hidden, retracted = (sum(row[kind] for row in every) for kind in ("hidden", "retracted"))
    absent = unknown_notices(reader, found, tables[0], set(request.symbol), shown) if len(tables) == 1 else ()
    warnings = (*duplicates_notice(hidden), *retracted_notice(retracted), *absent)
    return Result(shown, found.ids, found.as_of_us, None, warnings)
