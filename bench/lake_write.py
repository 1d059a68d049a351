"""Time to sort and write one flush of trades, and to commit small flushes into a growing table.

    taskset -c 0 python bench/lake_write.py [--rows 400000] [--commits 300]

Prints, per number of symbols and days, the best of several runs of `write_files` alone (sort, take, Parquet, fsync),
then the time of one whole flush (stage, dead letters, gaps, main), then that of small commits as snapshots add up.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.files import write_files
from k2app.lake.floors import Range
from k2app.lake.tables import SPECS, Name
from k2app.lake.writer import Flush, Writer
from k2app.settings import Settings
from tests.lake_rows import LOG, MONDAY_US, TIME, TOPIC, dead_letters, gaps, same, trades

BATCH_ROWS = 65_536
"""Rows of one fetch: a flush is a table of so many chunks."""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--commits", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        with open_catalog(settings) as catalog:
            create_tables(catalog, settings)
            table = load(catalog, settings, Name.TRADES)
            for days, symbols in ((1, 20), (1, 5000), (5, 20), (5, 5000)):
                rows = stamped(chunked(trades(options.rows, days=days, symbols=symbols)))
                took_s = best(lambda rows=rows: write_files(table, SPECS[Name.TRADES], rows))
                print(f"write {options.rows} trades, {symbols} symbols, {days} days: {took_s * 1e3:.0f} ms")
            ticks = count(MONDAY_US)
            commits(Writer(catalog, settings, Name.TRADES, lambda: next(ticks)), options)


def commits(writer: Writer, options: argparse.Namespace) -> None:
    """Time one large flush, then small ones."""
    at = 0
    took_s = timed(lambda: flush(writer, at, options.rows))
    print(f"flush of {options.rows} trades, 1 dead letter, 1 gap event: {took_s * 1e3:.0f} ms")
    at += options.rows
    times = []
    for _ in range(options.commits):
        times.append(timed(lambda at=at: flush(writer, at, 100)))
        at += 100
    tenth = max(1, options.commits // 10)
    first, last = (sorted(part)[len(part) // 2] * 1e3 for part in (times[:tenth], times[-tenth:]))
    print(
        f"flush of 100 trades: median {first:.0f} ms at first, {last:.0f} ms after {options.commits} snapshots"
    )


def flush(writer: Writer, start: int, rows: int) -> None:
    """Stage and commit one flush."""
    what = Flush(
        uuid4().hex,
        LOG,
        chunked(trades(rows, start=start)),
        dead_letters([start]),
        gaps([(start, 0)]),
        (Range(LOG, TOPIC, 0, start, start + rows, 0, None),),
    )
    staged = writer.stage(what)
    writer.commit_dead_letters(staged)
    writer.commit_gaps(staged)
    writer.commit_main(staged)


def chunked(rows: pa.Table) -> pa.Table:
    """Rows in chunks, as they are gathered."""
    return pa.concat_tables([rows.slice(i, BATCH_ROWS) for i in range(0, rows.num_rows, BATCH_ROWS)])


def stamped(rows: pa.Table) -> pa.Table:
    """Rows with what the writer adds."""
    times = pa.array(np.full(rows.num_rows, MONDAY_US), TIME)
    return rows.append_column("committed_at", times).append_column("commit_id", same("c", rows.num_rows))


def best(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of the quickest of several runs."""
    return min(timed(work) for _ in range(times))


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
