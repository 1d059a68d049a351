"""Records per second of the Avro codec on one core, beside fastavro row by row.

Run: python bench/avro_codec.py [ROWS]
"""

from __future__ import annotations

import io
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa

from k2app.avro.decode import decode, messages_from_list
from k2app.avro.encode import encode
from k2app.avro.schema import arrow_schema, parse

SCHEMA = Path(__file__).parent.parent / "schemas" / "trade.v1.avsc"
ROUNDS = 5
"""The best of so many is reported: the machine is shared."""


def trades(rows: int, symbols: int) -> list[dict[str, Any]]:
    """Trades as a file loader makes them: sequence and load id set, a condition in one of ten, no attributes."""
    random.seed(1)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    return [
        {
            "symbol": f"S{random.randrange(symbols):04d}",
            "exchange": "asx",
            "asset_class": "equities",
            "timestamp": start + timedelta(microseconds=137 * i),
            "price": Decimal(random.randrange(1, 10**6)).scaleb(-4),
            "quantity": Decimal(random.randrange(1, 10**4)),
            "currency": "AUD",
            "side": random.choice(["BUY", "SELL", "UNKNOWN"]),
            "trade_id": None,
            "conditions": ["XT"] if i % 10 == 0 else [],
            "sequence": i,
            "ingested_at": start + timedelta(seconds=1, microseconds=i),
            "load_id": "2026-01-05-0001",
            "source_line": i + 1,
            "attributes": None,
        }
        for i in range(rows)
    ]


def best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def fastavro_write(records: list[dict[str, Any]], schema: Any) -> list[bytes]:
    """Encode row by row."""
    messages = []
    for record in records:
        out = io.BytesIO(b"\0\0\0\0\x01")
        out.seek(5)
        fastavro.schemaless_writer(out, schema, record)
        messages.append(out.getvalue())
    return messages


def fastavro_read(messages: list[bytes], schema: Any) -> list[Any]:
    """Decode row by row."""
    return [fastavro.schemaless_reader(io.BytesIO(message[5:]), schema, None) for message in messages]


def measure(rows: int, symbols: int) -> None:
    """Print one table: both directions, both libraries."""
    raw = json.loads(SCHEMA.read_text())
    slow_schema, schema = fastavro.parse_schema(raw), parse(raw)
    records = trades(rows, symbols)
    batch = pa.RecordBatch.from_pylist(records, schema=arrow_schema(schema))
    messages = fastavro_write(records, slow_schema)
    data, starts, ends = messages_from_list(messages)
    few, share = messages[: rows // 10], 10
    table = {
        "decode": best(lambda: decode(data, starts, ends, {1: schema}, schema)),
        "join messages, decode": best(lambda: decode(*messages_from_list(messages), {1: schema}, schema)),
        "encode": best(lambda: encode(batch, schema, 1)),
        "fastavro decode": best(lambda: fastavro_read(few, slow_schema)) * share,
        "fastavro encode": best(lambda: fastavro_write(records[: len(few)], slow_schema)) * share,
    }
    print(f"{rows:,} trades of {symbols:,} symbols, {len(data) / rows:.0f} bytes each")
    for what, seconds in table.items():
        print(f"  {what:<22} {rows / seconds / 1e6:6.2f} M records/s")


if __name__ == "__main__":
    for count in (20, 5_000):
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000, count)
