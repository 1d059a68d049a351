"""Rows/s into Apache Kafka and from it to committed snapshots; a local broker, one worker.

    python bench/kafka_to_lake.py [--rows 2000000] [--symbols 100 5000]

The same trades as `log_to_lake.py`. `k2 worker --drain` is timed from its start to its end, start-up included, and
once more with nothing left to do: what a start costs. (Before both it runs once on empty topics: a new cluster takes
seconds to make the changelogs and its own topics.) Prints a table, writes `bench-out/kafka_to_lake.json`. Broker and
registry come from `tests/services`; they need Java and Maven.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from log_to_lake import blocks

from k2app import topology
from k2app.lake.catalog import load, open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.settings import Settings, read_settings
from k2app.stream.logs_by_url import open_log
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry
from tests.services import servers

WORKER = [sys.executable, "-m", "k2app.cli.k2", "worker", "--drain"]


def publish(settings: Settings, rows: int, symbols: int) -> float:
    """Publish the trades; returns the seconds that publishing took, without generating."""
    log, served = open_log(settings), topology.topics(settings)
    registry = open_registry(settings, log.file)
    made = topology.initialise(settings, served, log, registry, open_catalog(settings))
    topic, _ = served.topic("asx", DataType.TRADES)
    schema = topology.reader_schema(DataType.TRADES)
    outlet = Outlet(topic.name, "symbol", schema, made.subjects[topic.subject])
    took_s = 0.0
    with closing(log.publisher()) as publisher:
        for block in blocks(rows, symbols):
            started = time.perf_counter()
            publisher.publish(outlet, block)
            took_s += time.perf_counter() - started
    return took_s


def work(settings: Settings) -> float:
    """Drain the log; returns the seconds it took."""
    environment = os.environ | {
        "K2_HOME": str(settings.home),
        "K2_LOG_URL": settings.log_url,
        "K2_REGISTRY_URL": settings.registry.url,
        "K2_WEB_ENABLED": "false",
        "K2_LOGS_LEVEL": "warning",
    }
    started = time.perf_counter()
    subprocess.run(WORKER, env=environment, check=True)
    return time.perf_counter() - started


def measure(rows: int, symbols: int) -> dict[str, float]:
    """Time one load and one drain; returns figures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with servers.kafka(home / "kafka") as log_url, servers.registry(home / "registry") as registry_url:
            settings = read_settings(home=home, log={"url": log_url}, registry={"url": registry_url})
            publish(settings, 0, symbols)
            work(settings)
            published_s = publish(settings, rows, symbols)
            took_s = work(settings)
            start_s = work(settings)
            table = load(open_catalog(settings), settings, Name.TRADES)
        found = sum(int(s.summary["k2.rows"]) for s in table.snapshots() if s.summary is not None)
        if found != rows:
            raise SystemExit(f"{found} rows in the lake, expected {rows}")
        return {
            "rows": rows,
            "symbols": symbols,
            "publish_rows_per_s": round(rows / published_s),
            "worker_s": round(took_s, 2),
            "rows_per_s": round(rows / took_s),
            "start_s": round(start_s, 2),
            "rows_per_s_without_start": round(rows / (took_s - start_s)),
            "snapshots": len(table.snapshots()),
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
    (out / "kafka_to_lake.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
