"""What one would pick instead, on the same rows: ArcticDB (prices as floats) and chDB (decimals, MergeTree).

Runs in an environment of its own, since neither belongs into K2's: `make bench-rivals`. Takes the files that
`bench/serving_lake.py` made; writes bench-out/rivals.json. Times are medians in milliseconds.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import chdb.session
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from arcticdb import Arctic, QueryBuilder

TURNS = 15

START = pd.Timestamp("2026-01-07T01:00:00")

END = START + pd.Timedelta(hours=3)

PRICES = {
    "trades": ("price", "quantity"),
    "quotes": ("bid_price", "bid_quantity", "ask_price", "ask_quantity"),
}

SYMBOLS = [f"S{n:03d}" for n in range(100)]

POINT = (
    "SELECT * FROM trades WHERE symbol = 'S042' AND timestamp >= '2026-01-07 01:00:00' AND "
    "timestamp < '2026-01-07 04:00:00' ORDER BY timestamp, sequence, topic, partition, offset LIMIT 1000"
)

BARS = (
    "SELECT symbol, toStartOfMinute(timestamp) AS minute, "
    "argMin(price, (timestamp, sequence, partition, offset)) AS open, max(price) AS high, min(price) AS low, "
    "argMax(price, (timestamp, sequence, partition, offset)) AS close, sum(quantity) AS volume, "
    "sum(toDecimal128(price, 8) * quantity) AS notional, count() AS trades "
    "FROM trades {where} GROUP BY symbol, minute ORDER BY symbol, minute"
)

TAQ = (
    "SELECT t.timestamp, t.price, q.bid_price, q.ask_price FROM (SELECT * FROM trades WHERE symbol = 'S042' AND "
    "toDate(timestamp) = '2026-01-07') AS t ASOF LEFT JOIN (SELECT * FROM quotes WHERE symbol = 'S042' AND "
    "toDate(timestamp) = '2026-01-07') AS q ON t.symbol = q.symbol AND t.timestamp >= q.timestamp"
)


def main() -> None:
    """Load both, ask both, write."""
    lake, out = Path(sys.argv[1]), Path("bench-out")
    found = {"chDB": ask(chdb_questions(lake, out)), "ArcticDB": ask(arctic_questions(lake, out))}
    print(json.dumps(found, indent=2))
    (out / "rivals.json").write_text(json.dumps(found, indent=2) + "\n")


def files(lake: Path, name: str) -> str:
    """Data files of a table of the lake, as a pattern."""
    return str((lake / "warehouse" / "market_data" / name / "data").absolute()) + "/*/*.parquet"


def ask(questions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each question."""
    return {name: round(median_ms(question), 1) for name, question in questions.items()}


def median_ms(question: Callable[[], object]) -> float:
    """Median of some turns, after two that do not count."""
    times = []
    for turn in range(-2, TURNS):
        begun = time.perf_counter()
        question()
        if turn >= 0:
            times.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(times)


def chdb_questions(lake: Path, out: Path) -> dict[str, Callable[[], object]]:
    """The questions for chDB."""
    folder = out / "chdb"
    shutil.rmtree(folder, ignore_errors=True)
    session = chdb.session.Session(str(folder))
    for statement in ("SET max_threads = 2", "CREATE DATABASE k2", "USE k2"):
        session.query(statement)
    for name in ("trades", "quotes"):
        session.query(
            f"CREATE TABLE {name} ENGINE = MergeTree ORDER BY (symbol, timestamp) AS SELECT * EXCEPT (conditions, "
            "attributes) REPLACE (assumeNotNull(symbol) AS symbol, assumeNotNull(timestamp) AS timestamp) "
            f"FROM file('{files(lake, name)}', Parquet)"
        )
        session.query(f"OPTIMIZE TABLE {name} FINAL")
    return {
        "point": lambda: session.query(POINT, "ArrowStream").bytes(),
        "bars, one symbol": lambda: session.query(
            BARS.format(where="WHERE symbol = 'S042'"), "ArrowStream"
        ).bytes(),
        "bars, all symbols": lambda: session.query(BARS.format(where=""), "ArrowStream").bytes(),
        "taq": lambda: session.query(TAQ, "ArrowStream").bytes(),
        "replay": lambda: session.query(
            "SELECT * FROM trades ORDER BY timestamp, sequence, topic, partition, offset", "Null"
        ),
    }


def arctic_questions(lake: Path, out: Path) -> dict[str, Callable[[], object]]:
    """The questions for ArcticDB: one of its symbols for each of ours, which is what makes its reads fast."""
    folder = (out / "arctic").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    library = Arctic(f"lmdb://{folder}?map_size=20GB").get_library("k2", create_if_missing=True)
    for name, prices in PRICES.items():
        for symbol, rows in frames(lake, name, prices):
            library.write(f"{name}/{symbol}", rows)
    return {
        "point": lambda: library.read("trades/S042", date_range=(START, END)).data.head(1000),
        "bars, one symbol": lambda: arctic_bars(library, ["S042"]),
        "bars, all symbols": lambda: arctic_bars(library, SYMBOLS),
        "taq": lambda: arctic_taq(library),
    }


def frames(lake: Path, name: str, prices: tuple[str, ...]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each symbol in order of time, prices and quantities as floats."""
    columns = ["symbol", "timestamp", "sequence", "offset", *prices]
    paths = sorted(Path("/").glob(files(lake, name)[1:]))
    days = [pq.read_table(path, columns=columns, read_dictionary=["symbol"]) for path in paths]
    table = pa.concat_tables(days).unify_dictionaries()
    for price in prices:
        at = table.column_names.index(price)
        table = table.set_column(at, price, table[price].cast(pa.float64()))
    frame = table.to_pandas()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    for symbol, rows in frame.groupby("symbol", observed=True):
        yield str(symbol), rows.set_index("timestamp").drop(columns="symbol").sort_index()


def arctic_bars(library: object, symbols: list[str]) -> list[pd.DataFrame]:
    """One-minute bars; VWAP from a column that is multiplied first."""
    found = []
    for symbol in symbols:
        query = QueryBuilder()
        query = query.apply("notional", query["price"] * query["quantity"])
        query = query.resample("1min").agg(
            {
                "open": ("price", "first"),
                "high": ("price", "max"),
                "low": ("price", "min"),
                "close": ("price", "last"),
                "volume": ("quantity", "sum"),
                "notional": ("notional", "sum"),
                "trades": ("price", "count"),
            }
        )
        found.append(library.read(f"trades/{symbol}", query_builder=query).data)  # type: ignore[attr-defined]
    return found


def arctic_taq(library: object) -> pd.DataFrame:
    """ArcticDB has no as-of join: pandas joins what it reads."""
    day = (pd.Timestamp("2026-01-07"), pd.Timestamp("2026-01-08") - pd.Timedelta(microseconds=1))
    read_day = library.read  # type: ignore[attr-defined]
    trades, quotes = (read_day(f"{name}/S042", date_range=day).data for name in ("trades", "quotes"))
    return pd.merge_asof(trades, quotes, left_index=True, right_index=True)


if __name__ == "__main__":
    main()
