"""Rows/s of the loader, from a CSV file to a log: the embedded log and Apache Kafka.

    python bench/csv_to_log.py [--rows 2000000] [--symbols 100 5000] [--log embedded kafka]

`k2 load` of a file in K2's own format is timed from its start to its end, start-up included, and before that with
files of one row, the faster of two: what a start costs. Rows are durable when it ends: on the embedded log every block
is synced to the disk, on Kafka the producer is idempotent and every replica in sync confirms (acks=all). Prints a
table, writes `bench-out/csv_to_log.json`.

Kafka is one local broker, with its registry, from `tests/services`; without Java it is named as missing.
"""

from __future__ import annotations

from pathlib import Path

from figures import Figures, main, rate
from homes import EXCHANGE, Home, Timed, expect, fresh
from trades import write_csv

from k2app.stream.kafka_sending import PRODUCER_SETTINGS

ROWS = 2_000_000

MEBI = 1024 * 1024


def measure(log: str, rows: int, symbols: int) -> Figures:
    """Time one load; returns figures."""
    with fresh(log) as home:
        home.k2("init")
        folder = home.settings.home
        start_s = min(started(home, symbol) for symbol in ("A", "B"))
        size_bytes = write_csv(folder / "trades.csv", rows, symbols)
        loaded = load(home, folder / "trades.csv")
        expect("records on the log", rows + 2, home.records_on_log())
        durable = durability(home, log)
    return {
        "rows": rows,
        "symbols": symbols,
        "size_mib": round(size_bytes / MEBI),
        "load_s": round(loaded.seconds, 2),
        "rows_per_s": round(rows / loaded.seconds),
        "start_s": round(start_s, 2),
        "rows_per_s_without_start": rate(rows, loaded.seconds - start_s),
        "peak_memory_mib": loaded.peak_mib,
        "durable_by": durable,
    }


def started(home: Home, symbol: str) -> float:
    """Seconds of a load of one row: what a start costs."""
    file = home.settings.home / f"{symbol}.csv"
    file.write_text(f"symbol,timestamp,price,quantity,sequence\n{symbol},2026-01-05T00:00:00Z,10,1,1\n")
    return load(home, file).seconds


def load(home: Home, file: Path) -> Timed:
    """Load one file."""
    return home.k2("load", str(file), "--exchange", EXCHANGE, "--type", "trades")


def durability(home: Home, log: str) -> str:
    """How the log makes rows durable, as the product sets it."""
    if log == "embedded":
        return f"synchronous={home.settings.log.synchronous}"
    idempotent = "idempotent" if PRODUCER_SETTINGS["enable_idempotence"] else "not idempotent"
    return f"acks={PRODUCER_SETTINGS['acks']}, {idempotent}"


if __name__ == "__main__":
    main("csv_to_log", __doc__, ROWS, measure)
