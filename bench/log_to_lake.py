"""Rows/s from the embedded log to committed snapshots: the worker's hot path, as a whole process.

    python bench/log_to_lake.py [--rows 2000000] [--symbols 100 5000]

Trades are generated and published first; then `k2 worker --drain` is timed from its start to its end, start-up
included. On the same log, the agent that Faust's documentation would have one write (bench/stock_agent.py) reads a
slice of 50,000 rows. Prints a table, writes `bench-out/log_to_lake.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog

from k2app import topology
from k2app.lake.catalog import load, open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.settings import read_settings
from k2app.stream.embedded import log_path
from k2app.stream.log_file import LogFile
from k2app.stream.publisher import EmbeddedPublisher, Outlet
from k2app.stream.registry import open_registry

BLOCK_ROWS = 50_000
"""Rows per appended block: about what the loader sends at once."""

STOCK_AGENT = Path(__file__).with_name("stock_agent.py")

START_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z."""


def blocks(rows: int, symbols: int, seed: int = 7) -> Iterator[pa.Table]:
    """Generate trades of a trading-date exchange: every symbol counts 1 by 1."""
    rng = np.random.default_rng(seed)
    names = np.array([f"S{i:05d}" for i in range(symbols)])
    counts = np.zeros(symbols, np.int64)
    for start in range(0, rows, BLOCK_ROWS):
        n = min(BLOCK_ROWS, rows - start)
        which = rng.integers(0, symbols, n)
        order = np.argsort(which, kind="stable")
        first = np.searchsorted(which[order], which[order])
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n) - first
        sequence = counts[which] + rank + 1
        counts += np.bincount(which, minlength=symbols)
        times = START_US + (np.arange(start, start + n) * (6 * 3600 * 1_000_000 // rows))
        yield pa.table(
            {
                "symbol": pa.array(names[which]),
                "exchange": constant("asx", n),
                "asset_class": constant("equities", n),
                "timestamp": pa.array(times).cast(pa.timestamp("us", "UTC")),
                "price": decimals(1_000_000_000 + rng.integers(0, 10_000, n) * 1_000_000),
                "quantity": decimals(rng.integers(1, 5_000, n) * 100_000_000),
                "currency": constant("AUD", n),
                "side": pa.array(np.array(["BUY", "SELL"])[rng.integers(0, 2, n)]),
                "trade_id": pa.array([f"T{i}" for i in range(start, start + n)]),
                "conditions": pa.array([["0"]] * n, pa.list_(pa.string())),
                "sequence": pa.array(sequence),
                "ingested_at": pa.array(np.full(n, START_US)).cast(pa.timestamp("us", "UTC")),
                "load_id": constant("bench", n),
                "source_line": pa.array(np.arange(start, start + n) + 1),
                "attributes": pa.nulls(n, pa.map_(pa.string(), pa.string())),
            }
        )


def constant(value: str, n: int) -> pa.Array:
    """Repeat one text."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([value])).cast(pa.string())


def decimals(units: np.ndarray) -> pa.Array:
    """Numbers of 1e-8 units as decimals."""
    pairs = np.stack([units, units >> 63], axis=1)
    return pa.Array.from_buffers(pa.decimal128(18, 8), len(units), [None, pa.py_buffer(pairs.tobytes())])


def publish(home: Path, rows: int, symbols: int) -> Catalog:
    """Make a home whose log holds the trades; returns its catalog."""
    settings = read_settings(home=home)
    log = LogFile(log_path(settings.log_url))
    registry, catalog, served = (
        open_registry(settings, log),
        open_catalog(settings),
        topology.topics(settings),
    )
    made = topology.initialise(settings, served, log, registry, catalog)
    topic, _ = served.topic("asx", DataType.TRADES)
    schema = topology.reader_schema(DataType.TRADES)
    outlet = Outlet(topic.name, "symbol", schema, made.subjects[topic.subject])
    publisher = EmbeddedPublisher(log)
    for block in blocks(rows, symbols):
        publisher.publish(outlet, block)
    publisher.close()
    return catalog


def measure(rows: int, symbols: int) -> dict[str, float]:
    """Time one drain; returns figures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        started = time.perf_counter()
        catalog = publish(home, rows, symbols)
        published_s = time.perf_counter() - started
        environment = os.environ | {
            "K2_HOME": str(home),
            "K2_WEB_ENABLED": "false",
            "K2_LOGS_LEVEL": "warning",
        }
        stock = subprocess.run(
            [sys.executable, STOCK_AGENT], env=environment, check=True, capture_output=True
        )
        stock_rows_per_s = json.loads(stock.stdout)["rows_per_s"]
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "k2app.cli.k2", "worker", "--drain"], env=environment, check=True
        )
        took_s = time.perf_counter() - started
        table = load(catalog, read_settings(home=home), Name.TRADES)
        found = sum(int(s.summary["k2.rows"]) for s in table.snapshots() if s.summary is not None)
        if found != rows:
            raise SystemExit(f"{found} rows in the lake, expected {rows}")
        return {
            "rows": rows,
            "symbols": symbols,
            "publish_rows_per_s": round(rows / published_s),
            "worker_s": round(took_s, 2),
            "rows_per_s": round(rows / took_s),
            "stock_agent_rows_per_s": stock_rows_per_s,
            "times_stock_agent": round(rows / took_s / stock_rows_per_s, 1),
            "snapshots": len(table.snapshots()),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--symbols", type=int, nargs="+", default=[100, 5_000])
    options = parser.parse_args()
    results = [measure(options.rows, symbols) for symbols in options.symbols]
    for result in results:
        print("  ".join(f"{name}={value:,}" for name, value in result.items()))
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "log_to_lake.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
