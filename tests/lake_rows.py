"""Rows of the lake's tables, made up: every column of `SPECS` but `committed_at` and `commit_id`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

DAY_US = 86_400_000_000
MONDAY_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z."""

LOG = "0f5b2c1e-0000-4000-8000-000000000001"
TOPIC = "market.equities.trades.asx"

PRICE = pa.decimal128(18, 8)
TIME = pa.timestamp("us", tz="UTC")


def decimals(units):
    """Decimal(18,8) column of `units` (int64), each 1e-8."""
    pairs = np.zeros((len(units), 2), dtype=np.int64)
    pairs[:, 0] = units
    pairs[:, 1] = units >> 63
    return pa.Array.from_buffers(PRICE, len(units), [None, pa.py_buffer(pairs)])


def same(value, rows):
    """Dictionary column of one value."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int8), pa.array([value]))


def pick(values, index):
    """Dictionary column of `values` at `index`."""
    return pa.DictionaryArray.from_arrays(index.astype(np.int32), pa.array(values))


def trades(rows, *, start=0, partition=0, symbols=20, days=1, seed=0, topic=TOPIC, log_id=LOG):
    """Trades at offsets [start, start + rows): symbols at random, times rising over `days` days."""
    random = np.random.default_rng(seed)
    symbol = random.integers(0, symbols, rows)
    time = MONDAY_US + np.sort(random.integers(0, days * DAY_US, rows))
    offsets = start + np.arange(rows)
    flags = np.where(random.random(rows) < 0.01, 1, 0)
    condition_ends = np.cumsum(random.integers(0, 3, rows))
    conditions = pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], condition_ends)), pa.int32()),
        pa.array(["0", "5", "XT"]).take(pa.array(random.integers(0, 3, condition_ends[-1] if rows else 0))),
    )
    return pa.table(
        {
            "symbol": pick([f"S{i:04d}" for i in range(symbols)], symbol),
            "exchange": same("asx", rows),
            "asset_class": same("equities", rows),
            "timestamp": pa.array(time, TIME),
            "price": decimals(random.integers(1, 10**6, rows) * 10**6),
            "quantity": decimals(random.integers(1, 10**4, rows) * 10**8),
            "currency": same("AUD", rows),
            "side": pick(["BUY", "SELL", "UNKNOWN"], random.integers(0, 3, rows)),
            "trade_id": pa.array(offsets.astype(str)) if rows else pa.array([], pa.string()),
            "conditions": conditions,
            "sequence": pa.array(offsets, pa.int64()),
            "ingested_at": pa.array(np.full(rows, MONDAY_US), TIME),
            "load_id": same("load-1", rows),
            "source_line": pa.array(offsets + 2, pa.int64()),
            "attributes": pa.nulls(rows, pa.map_(pa.string(), pa.string())),
            "sequence_flag": pick(["ok", "gap"], flags),
            "epoch": pa.array(np.zeros(rows), pa.int32()),
            "trading_date": pa.array((time // DAY_US).astype(np.int32), pa.date32()),
            "log_id": same(log_id, rows),
            "topic": same(topic, rows),
            "partition": pa.array(np.full(rows, partition), pa.int32()),
            "offset": pa.array(offsets, pa.int64()),
        }
    )


def dead_letters(offsets, *, partition=0, reason="truncated", topic=TOPIC, log_id=LOG):
    """Dead letters at `offsets`."""
    rows = len(offsets)
    return pa.table(
        {
            "reason": pa.array([reason] * rows, pa.string()),
            "schema_id": pa.array([None] * rows, pa.int32()),
            "log_timestamp": pa.array([MONDAY_US] * rows, TIME),
            "key": pa.array([b"BHP"] * rows, pa.binary()),
            "value": pa.array([b"\x00\x01"] * rows, pa.binary()),
            "log_id": same(log_id, rows),
            "topic": same(topic, rows),
            "partition": pa.array([partition] * rows, pa.int32()),
            "offset": pa.array(list(offsets), pa.int64()),
        }
    )


def gaps(places, *, partition=0, topic=TOPIC, log_id=LOG):
    """Gap events at `places`: pairs of offset and event index."""
    rows = len(places)
    return pa.table(
        {
            "event": same("opened", rows),
            "exchange": same("asx", rows),
            "asset_class": same("equities", rows),
            "data_type": same("trades", rows),
            "symbol": same("BHP", rows),
            "trading_date": pa.array([MONDAY_US // DAY_US] * rows, pa.int32()).cast(pa.date32()),
            "epoch": pa.array([0] * rows, pa.int32()),
            "from_sequence": pa.array([5] * rows, pa.int64()),
            "to_sequence": pa.array([9] * rows, pa.int64()),
            "missing": pa.array([5] * rows, pa.int64()),
            "severity": same("small", rows),
            "timestamp": pa.array([MONDAY_US] * rows, TIME),
            "event_index": pa.array([index for _, index in places], pa.int32()),
            "log_id": same(log_id, rows),
            "topic": same(topic, rows),
            "partition": pa.array([partition] * rows, pa.int32()),
            "offset": pa.array([offset for offset, _ in places], pa.int64()),
        }
    )
