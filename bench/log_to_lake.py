"""Rows/s from a log to committed snapshots, the worker as a whole process: the embedded log and Apache Kafka.

    python bench/log_to_lake.py [--rows 2000000] [--symbols 100 5000] [--log embedded kafka]

Trades are published first; then `k2 worker --drain` is timed from its start to its end, start-up included, and once
more with nothing left to do: what a start costs. (Before both it runs once on empty topics: a new Kafka takes seconds
to make the changelogs and its own topics.) On the embedded log, the agent that Faust's documentation would have one
write (bench/stock_agent.py) reads a slice of 50,000 rows. Prints a table, writes `bench-out/log_to_lake.json`.

Kafka is one local broker, with its registry, from `tests/services`; without Java it is named as missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from figures import Figures, main, rate
from homes import Home, expect, fresh

STOCK_AGENT = Path(__file__).with_name("stock_agent.py")

ROWS = 2_000_000


def measure(log: str, rows: int, symbols: int) -> Figures:
    """Time one drain; returns figures."""
    with fresh(log) as home:
        home.publish(0, symbols)
        home.k2("worker", "--drain")
        published_s = home.publish(rows, symbols)
        stock = stock_rows_per_s(home) if log == "embedded" else None
        drained, again = home.k2("worker", "--drain"), home.k2("worker", "--drain")
        commits = home.commits()
    expect("rows in the lake", rows, sum(commits))
    return {
        "rows": rows,
        "symbols": symbols,
        "publish_rows_per_s": round(rows / published_s),
        "worker_s": round(drained.seconds, 2),
        "rows_per_s": round(rows / drained.seconds),
        "start_s": round(again.seconds, 2),
        "rows_per_s_without_start": rate(rows, drained.seconds - again.seconds),
        "snapshots": len(commits),
        "peak_memory_mib": drained.peak_mib,
        "stock_agent_rows_per_s": stock,
        "times_stock_agent": None if stock is None else round(rows / drained.seconds / stock, 1),
    }


def stock_rows_per_s(home: Home) -> float:
    """Rows/s of the stock agent on the same log."""
    command = [sys.executable, str(STOCK_AGENT)]
    done = subprocess.run(command, env=home.environment, check=True, capture_output=True)
    return float(json.loads(done.stdout)["rows_per_s"])


if __name__ == "__main__":
    main("log_to_lake", __doc__, ROWS, measure)
