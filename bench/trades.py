"""Generated trades of a trading-date exchange, as Arrow blocks and as a CSV file: the input of the log's benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

BLOCK_ROWS = 50_000
"""Rows per published block: about what the loader sends at once."""

START_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z."""

IN_FILE = ("symbol", "timestamp", "price", "quantity", "side", "trade_id", "sequence")
"""Columns of the CSV file, as profile `k2` names them."""


def blocks(rows: int, symbols: int, seed: int = 7) -> Iterator[pa.Table]:
    """Generate trades: every symbol counts 1 by 1."""
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


def write_csv(path: Path, rows: int, symbols: int) -> int:
    """Write the trades to a file that profile `k2` reads; returns its bytes."""
    options = csv.WriteOptions(quoting_style="none")
    schema = pa.schema([(name, pa.string()) for name in IN_FILE])
    with csv.CSVWriter(path, schema, write_options=options) as writer:
        for block in blocks(rows, symbols):
            writer.write_table(_in_file(block))
    return path.stat().st_size


def _in_file(block: pa.Table) -> pa.Table:
    """Columns as the file has them: text, times in ISO 8601."""
    texts = {name: block[name].cast(pa.string()) for name in IN_FILE if name != "timestamp"}
    times = pc.strftime(block["timestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return pa.table({name: texts.get(name, times) for name in IN_FILE})
