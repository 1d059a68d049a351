"""The agent that Faust's documentation would have one write: a message at a time, fastavro, one table write each.

    K2_HOME=... python bench/stock_agent.py [--rows 50000]

Reads the trades of the log in K2_HOME (see log_to_lake.py, which runs this), commits nothing to any lake, and prints
rows/s as JSON, timed from the first record to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import tempfile
import time

import fastavro
import faust

import schemas
from k2app.settings import Settings, read_settings

TOPIC = "market.equities.trades.asx"
HEADER_BYTES = 5


class StockApp(faust.App):
    """A Faust app on the embedded log without batch topics."""

    settings: Settings
    batch_topics: frozenset[str] = frozenset()


def measure(rows: int, folder: str) -> float:
    """Read `rows` records; returns rows/s."""
    settings = read_settings()
    app = StockApp(
        "stock",
        broker=settings.log_url,
        store="rocksdb://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
    )
    app.settings = settings
    topic = app.topic(TOPIC, key_serializer="raw", value_serializer="raw", partitions=4)
    table = app.Table("last_sequence", default=int, partitions=4)
    schema = fastavro.parse_schema(schemas.newest("trade"))
    times: list[float] = []
    done = asyncio.Event()

    @app.agent(topic, name="stock")
    async def read(stream: faust.StreamT) -> None:
        seen = 0
        async for value in stream:
            if not times:
                times.append(time.perf_counter())
            trade = fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), schema, None)
            table[trade["symbol"]] = trade["sequence"]
            seen += 1
            if seen == rows:
                times.append(time.perf_counter())
                done.set()

    async def run() -> None:
        await app.start()
        await done.wait()
        await app.stop()

    asyncio.run(run())
    return rows / (times[1] - times[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"rows_per_s": round(measure(options.rows, folder))}))


if __name__ == "__main__":
    main()
