"""A lake to ask: trades and quotes of many symbols over five days, laid out as compaction leaves it.

One file a day, sorted by symbol and time, row groups of 32,768 rows. Made once for each size, kept in bench-out/.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.catalog import Catalog

from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import SPECS, Name
from k2app.settings import Settings

OUT = Path("bench-out")

MONDAY_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z."""

HOUR_US = 3_600_000_000

DAY_US = 24 * HOUR_US

DAYS, SYMBOLS = 5, 100

OPEN_US, SESSION_US = 0, 6 * HOUR_US
"""A session of six hours from midnight UTC: about that of the ASX in January."""

TICK = 10**6
"""A cent, in units of 1e-8."""

PROPERTIES = {"write.parquet.row-group-limit": "32768", "write.target-file-size-bytes": str(2**34)}

TEXTS = {
    "exchange": "asx",
    "asset_class": "equities",
    "currency": "AUD",
    "load_id": "load",
    "sequence_flag": "ok",
    "commit_id": "commit",
    "log_id": "0f5b2c1e-0000-4000-8000-000000000001",
}

Integers = npt.NDArray[np.int64]


def lake_of(rows: int) -> Settings:
    """Settings of a lake with so many trades and as many quotes."""
    home = OUT / f"lake-{rows}"
    settings = Settings(home=home.absolute())
    if not (home / "whole").exists():
        home.mkdir(parents=True, exist_ok=True)
        with closing(open_catalog(settings)) as catalog:
            _fill(settings, catalog, rows)
        (home / "whole").touch()
    return settings


def files_of(settings: Settings, name: Name) -> list[str]:
    """Paths of a table's data files, by day."""
    with closing(open_catalog(settings)) as catalog:
        tasks = load(catalog, settings, name).scan().plan_files()
        return sorted(task.file.file_path.removeprefix("file://") for task in tasks)


def _fill(settings: Settings, catalog: Catalog, rows: int) -> None:
    create_tables(catalog, settings)
    for name in (Name.TRADES, Name.QUOTES):
        table = load(catalog, settings, name)
        with table.transaction() as change:
            change.set_properties(PROPERTIES)
        for day in range(DAYS):
            table.append(_day(name, rows // DAYS, day))


def _day(name: Name, rows: int, day: int) -> pa.Table:
    random = np.random.default_rng([day, list(Name).index(name)])
    symbol = np.sort(random.integers(0, SYMBOLS, rows))
    times = MONDAY_US + day * DAY_US + OPEN_US + random.integers(0, SESSION_US, rows)
    times = times[np.lexsort((times, symbol))]
    # Every symbol counts 1 by 1, over all days.
    place = np.arange(rows) - np.searchsorted(symbol, symbol)
    columns = _shell(name, symbol, times, place + day * 10**7, day)
    columns |= _trade(random, symbol, place) if name is Name.TRADES else _quote(random, symbol)
    schema = SPECS[name].arrow_schema
    return pa.table({column: columns[column] for column in schema.names}).cast(schema)


def _shell(name: Name, symbol: Integers, times: Integers, sequence: Integers, day: int) -> dict[str, Any]:
    rows = len(symbol)
    stamps = pa.array(times, pa.timestamp("us", tz="UTC"))
    conditions = pa.array([["1"] if n % 50 == 0 else [] for n in range(rows)], pa.list_(pa.string()))
    return {
        **{column: pa.array([text] * rows) for column, text in TEXTS.items()},
        "symbol": pa.array([f"S{n:03d}" for n in range(SYMBOLS)]).take(pa.array(symbol)),
        "timestamp": stamps,
        "ingested_at": stamps,
        "committed_at": stamps,
        "conditions": conditions,
        "sequence": pa.array(sequence),
        "source_line": pa.array(np.arange(rows)),
        "attributes": pa.array([[("venue", "A")]] * rows, pa.map_(pa.string(), pa.string())),
        "epoch": pa.array(np.zeros(rows, np.int32)),
        "trading_date": pa.array(np.full(rows, MONDAY_US // DAY_US + day, np.int32)).cast(pa.date32()),
        "topic": pa.array([f"market.equities.{name}.asx"] * rows),
        "partition": pa.array((symbol % 4).astype(np.int32)),
        "offset": pa.array(np.arange(rows) + day * rows),
    }


def _trade(random: np.random.Generator, symbol: Integers, place: Integers) -> dict[str, Any]:
    rows = len(symbol)
    price = (5_000 + symbol * 10 + np.cumsum(random.integers(-1, 2, rows)) % 400) * TICK
    return {
        "price": decimals(price),
        "quantity": decimals(random.integers(1, 1_000, rows) * 10**8),
        "side": pa.array(np.array(["BUY", "SELL"])[random.integers(0, 2, rows)]),
        "trade_id": pa.array(np.char.add("T", place.astype(str))),
    }


def _quote(random: np.random.Generator, symbol: Integers) -> dict[str, Any]:
    rows = len(symbol)
    bid = (5_000 + symbol * 10 + np.cumsum(random.integers(-1, 2, rows)) % 400) * TICK
    return {
        "bid_price": decimals(bid),
        "bid_quantity": decimals(random.integers(1, 1_000, rows) * 10**8),
        "ask_price": decimals(bid + random.integers(1, 4, rows) * TICK),
        "ask_quantity": decimals(random.integers(1, 1_000, rows) * 10**8),
    }


def decimals(units: Integers) -> pa.Array:
    """Decimal(18,8) column of int64 units, each 1e-8."""
    pairs = np.zeros((len(units), 2), np.int64)
    pairs[:, 0] = units
    return pa.Array.from_buffers(pa.decimal128(18, 8), len(units), [None, pa.py_buffer(pairs)])
