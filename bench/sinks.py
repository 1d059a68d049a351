"""Kafka to committed Iceberg snapshots: K2 beside Iceberg's Kafka Connect sink and Quix Streams' Iceberg sink.

    python bench/sinks.py [--rows 2000000] [--symbols 100] [--interval 5] [--tasks 2] [--only k2 connect quix]

One broker and one registry (`tests/services`) run on the same machine. Trades are published once; then each
contender reads the same topic from its beginning, one after the other. A run starts with the process and ends when
its table's snapshots hold every row; its program is ended then. Before a run counts, its table is read: rows,
distinct trade ids and the sums of prices and quantities must be those that were published. Memory is that of its
processes, four looks a second; processor seconds are theirs too, the broker's stand beside them.

Nobody pays for what a new Kafka does once: K2 has made its topics, and the broker the log of its transactions, before.
Prints a table, writes `bench-out/sinks.json`. `make bench-sinks` makes Quix' environment first.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import pyarrow.compute as pc
from aiokafka import AIOKafkaProducer
from figures import Figures, rate, report
from homes import expect, fresh
from sinks_connect import connect
from sinks_contenders import Asked, Contender, k2, quix
from sinks_course import Course, run
from trades import blocks

ROWS = 2_000_000

CONTENDERS: Mapping[str, Callable[[Asked], Contender]] = {"k2": k2, "connect": connect, "quix": quix}
"""They run in this order."""

MIB = 1024 * 1024

SUMS = ("rows", "distinct trade ids", "sum of prices", "sum of quantities")
"""What must be the same in every table."""

Sums = tuple[int, int, Decimal, Decimal]
"""The values of these."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between commits")
    parser.add_argument("--tasks", type=int, default=2, help="of the Connect sink")
    parser.add_argument("--only", choices=list(CONTENDERS), nargs="+", default=list(CONTENDERS))
    options = parser.parse_args()
    report("sinks", list(measured(options)))


def measured(options: argparse.Namespace) -> Iterator[Figures]:
    """Figures of each contender."""
    expected = published(options.rows, options.symbols)
    with fresh("kafka") as home:
        asked = Asked(home, options.interval, options.tasks)
        home.publish(0, options.symbols)
        home.k2("worker", "--drain")
        asyncio.run(begin_transactions(asked.servers))
        home.publish(options.rows, options.symbols)
        broker = int((home.settings.home.parent / "kafka" / "kafka.pid").read_text())
        for name in options.only:
            contender = CONTENDERS[name](asked)
            course = run(contender, options.rows, asked.admin(), broker)
            for what, ours, theirs in zip(SUMS, expected, committed(contender), strict=True):
                expect(f"{contender.name}: {what}", ours, theirs)
            yield {"sink": contender.name} | figures(options.rows, course) | table_figures(contender)


async def begin_transactions(servers: str) -> None:
    """Have the broker make its log of transactions, which takes seconds."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="first")
    await producer.start()
    await producer.stop()


def published(rows: int, symbols: int) -> Sums:
    """What the trades come to; trade ids are all different."""
    prices = quantities = Decimal(0)
    for block in blocks(rows, symbols):
        prices += pc.sum(block["price"]).as_py()
        quantities += pc.sum(block["quantity"]).as_py()
    return rows, rows, prices, quantities


def committed(contender: Contender) -> Sums:
    """What the table comes to, read by pyiceberg."""
    table = contender.catalog.load_table(contender.table)
    found = table.scan(selected_fields=("trade_id", "price", "quantity")).to_arrow()
    distinct = pc.count_distinct(found["trade_id"]).as_py()
    return found.num_rows, distinct, pc.sum(found["price"]).as_py(), pc.sum(found["quantity"]).as_py()


def figures(rows: int, course: Course) -> Figures:
    """Figures of a run: whole, after its start, and after a quarter of the rows (None: one commit had them all)."""
    whole, start, warm = course.whole, course.start, course.warm
    millions = rows / 1_000_000
    return {
        "rows": rows,
        "wall_s": round(whole.wall_s, 1),
        "rows_per_s": round(rows / whole.wall_s),
        "cpu_s_per_million": round(whole.cpu_s / millions, 2),
        "rows_per_cpu_s": round(rows / whole.cpu_s),
        "start_wall_s": round(start.wall_s, 1),
        "start_cpu_s": round(start.cpu_s, 1),
        "rows_per_cpu_s_after_start": round(rows / (whole.cpu_s - start.cpu_s)),
        "rows_per_cpu_s_warm": rate(rows - course.warm_rows, whole.cpu_s - warm.cpu_s),
        "broker_cpu_s_per_million": round(course.broker_cpu_s / millions, 2),
        "peak_mib": course.peak_bytes // MIB,
    }


def table_figures(contender: Contender) -> Figures:
    """What it left behind."""
    table = contender.catalog.load_table(contender.table)
    snapshot = table.current_snapshot()
    summary = {} if snapshot is None or snapshot.summary is None else snapshot.summary.additional_properties
    return {
        "snapshots": len(table.snapshots()),
        "files": int(summary["total-data-files"]),
        "mib": int(summary["total-files-size"]) // MIB,
    }


if __name__ == "__main__":
    main()
