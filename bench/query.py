"""Time of queries over a million made-up trades, in a lake of its own that is thrown away.

Run: `python bench/query.py [rows]`
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.catalog import Catalog

from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import SPECS, Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.requests import RowsRequest, SummariesRequest, SummaryRequest, SymbolsRequest
from k2app.query.result import Result
from k2app.query.result_text import to_csv, to_json
from k2app.settings import Settings

T = TypeVar("T")

MONDAY_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z."""

DAY_US = 86_400_000_000

DAYS, SYMBOLS, REPEATS = 5, 100, 20

ROW_GROUP_ROWS = 32_768
"""As the writer's."""


def decimals(units: npt.NDArray[np.int64]) -> pa.Array:
    """Decimal(18,8) column of int64 units, each 1e-8."""
    pairs = np.zeros((len(units), 2), np.int64)
    pairs[:, 0] = units
    return pa.Array.from_buffers(pa.decimal128(18, 8), len(units), [None, pa.py_buffer(pairs)])


def trades(rows: int, day: int) -> pa.Table:
    """A day's trades of all symbols, sorted as the writer sorts them."""
    random = np.random.default_rng(day)
    symbol = np.sort(random.integers(0, SYMBOLS, rows))
    times = MONDAY_US + day * DAY_US + random.integers(0, DAY_US, rows)
    times = times[np.lexsort((times, symbol))]
    names = pa.array([f"S{n:03d}" for n in range(SYMBOLS)])
    stamps = pa.array(times, pa.timestamp("us", tz="UTC"))
    offsets = np.arange(rows) + day * rows
    texts = {
        "exchange": "asx",
        "asset_class": "equities",
        "currency": "AUD",
        "side": "BUY",
        "load_id": "load",
        "sequence_flag": "ok",
        "commit_id": "commit",
        "log_id": "log",
        "topic": "market.equities.trades.asx",
    }
    columns = {
        "symbol": names.take(pa.array(symbol)),
        "timestamp": stamps,
        "price": decimals(random.integers(9_000, 11_000, rows) * 10**6),
        "quantity": decimals(random.integers(1, 1_000, rows) * 10**8),
        "trade_id": pa.array(offsets.astype(str)),
        "conditions": pa.array([["1"] if n % 50 == 0 else [] for n in range(rows)]),
        "sequence": pa.array(offsets),
        "ingested_at": stamps,
        "source_line": pa.array(offsets),
        "attributes": pa.array([[("venue", "A")]] * rows, pa.map_(pa.string(), pa.string())),
        "epoch": pa.array(np.zeros(rows, np.int32)),
        "trading_date": pa.array(np.full(rows, MONDAY_US // DAY_US + day, np.int32)).cast(pa.date32()),
        "committed_at": stamps,
        "partition": pa.array(np.zeros(rows, np.int32)),
        "offset": pa.array(offsets),
        **{name: pa.array([text] * rows) for name, text in texts.items()},
    }
    schema = SPECS[Name.TRADES].arrow_schema
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def fill(settings: Settings, catalog: Catalog, rows: int) -> None:
    """Append one sorted file a day."""
    create_tables(catalog, settings)
    table = load(catalog, settings, Name.TRADES)
    with table.transaction() as change:
        change.set_properties({"write.parquet.row-group-limit": str(ROW_GROUP_ROWS)})
    for day in range(DAYS):
        table.append(trades(rows // DAYS, day))


def measure(name: str, question: Callable[[], T], count: Callable[[T], int]) -> None:
    """Print the median and the best time of a question, and how many rows it gave."""
    question()
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        found = question()
        times.append((time.perf_counter() - begun) * 1_000)
    print(f"{name:<58} {statistics.median(times):>9.1f} {min(times):>9.1f} {count(found):>9,}")


def run(engine: QueryEngine) -> None:
    """Time every question."""
    day = date(2026, 1, 7)
    start = MONDAY_US + 2 * DAY_US
    point = RowsRequest(symbol="S042", start=start, end=start + 3 * 3_600_000_000)
    page = RowsRequest(limit=100_000)
    rows = engine.trades(page)
    print(f"{'what':<58} {'median ms':>9} {'best ms':>9} {'rows':>9}")

    def ask(name: str, question: Callable[[], Result]) -> None:
        measure(name, question, lambda result: result.rows.num_rows)

    ask("one symbol, 3 h", lambda: engine.trades(point))
    ask("one symbol, newest row", lambda: engine.trades(RowsRequest(symbol="S042", order="desc", limit=1)))
    ask("one symbol, day summary", lambda: engine.summary(SummaryRequest(symbol="S042", date=day)))
    ask("all symbols, day summary", lambda: engine.summaries(SummariesRequest(start_date=day)))
    ask("symbols with counts, everything", lambda: engine.symbols(SymbolsRequest()))
    ask("all symbols, page of 100,000", lambda: engine.trades(page))
    measure("that page as JSON (every column)", lambda: to_json(rows), lambda _: rows.rows.num_rows)
    measure("that page as CSV (every column)", lambda: to_csv(rows), lambda _: rows.rows.num_rows)


def main() -> None:
    """Make a lake, ask, throw it away."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        with closing(open_catalog(settings)) as catalog:
            fill(settings, catalog, rows)
            with closing(QueryEngine(settings, catalog, exchanges.load())) as engine:
                print(f"{rows:,} trades, {SYMBOLS} symbols, {DAYS} days, {settings.query.threads} threads")
                run(engine)


if __name__ == "__main__":
    main()
