"""How fast everything is replayed, as Arrow and as NDJSON, against a plain scan of the same files by pyarrow.

The lake is that of `serving_lake.py`: so many trades and as many quotes, a file a day, sorted by symbol and time, in
row groups of 32,768 rows. Machines differ: what counts are the ratios within one run. The peak is that of the process
until then.

Run: `python bench/replay.py [rows]`
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow.dataset as ds
from serving_lake import DAYS, SYMBOLS, lake_of

from k2app.lake.catalog import open_catalog
from k2app.market import exchanges
from k2app.query.answers.formats import Format
from k2app.query.answers.stream import Stream
from k2app.query.answers.writing import write_stream
from k2app.query.engine import QueryEngine
from k2app.query.queries import TRADES_QUERY
from k2app.query.query import Query
from k2app.query.reading.window_rows import DICTIONARIES
from k2app.query.replay.lines import Lines
from k2app.query.replay.player import opened, play
from k2app.query.replay.query import REPLAY_QUERY
from k2app.query.replay.replay import Feed
from k2app.query.replay.request import ReplayFormat, ReplayRequest
from k2app.query.requests import Request, RowsRequest
from k2app.settings import QuerySettings, Settings

TEXTS = sorted(DICTIONARIES)


def scan(home: Path, texts: list[str]) -> int:
    """Every column of every row, as pyarrow reads them."""
    paths = sorted(map(str, home.glob("warehouse/*/trades/data/**/*.parquet")))
    form = ds.ParquetFileFormat(dictionary_columns=texts)
    return sum(b.num_rows for b in ds.dataset(paths, format=form, partitioning=None).to_batches())


def streamed(engine: QueryEngine, query: Query, request: Request, write: Callable[[Stream], int]) -> int:
    """Rows of a stream."""
    return engine.submit_stream(query, request, write).future.result()


def written(form: Format) -> Callable[[Stream], int]:
    """Writes a form to nowhere."""
    return lambda stream: write_stream(stream, form, len, numbers=False, control=None)


def counted(stream: Stream) -> int:
    """Rows, batch by batch."""
    return sum(batch.num_rows for batch in stream.batches)


def lines(engine: QueryEngine) -> int:
    """Rows of a replay as NDJSON."""
    made = Lines(Feed(opened(engine, ReplayRequest())), ReplayFormat.NDJSON)
    return play(engine, made, len)


def measure(name: str, work: Callable[[], int], scanned: float) -> float:
    """Print rows a second, by the clock and by processor time, and against the scan."""
    begun, used = time.perf_counter(), time.process_time()
    rows = work()
    rate, cost = rows / (time.perf_counter() - begun), rows / (time.process_time() - used)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    ratio = f"{cost / scanned:8.2f}" if scanned else "    1.00"
    print(f"{name:<44} {rate / 1e6:8.2f} {cost / 1e6:12.2f} {ratio} {peak_mb:10.0f}", flush=True)
    return cost


def run(rows: int) -> None:
    """Make the lake if it is not there, and replay it."""
    home = lake_of(rows).home
    settings = Settings(home=home, query=QuerySettings(timeout_s=600))
    with (
        closing(open_catalog(settings)) as catalog,
        closing(QueryEngine(settings, catalog, exchanges.load())) as engine,
    ):
        print(f"{rows:,} trades and as many quotes, {SYMBOLS} symbols, {DAYS} days")
        print(f"{'what':<44} {'M rows/s':>8} {'M/cpu second':>12} {'to scan':>8} {'peak MB':>10}")
        scanned = measure("pyarrow scan, texts as dictionaries", lambda: scan(home, TEXTS), 0)
        asked = ReplayRequest()
        measure("replay, batches", lambda: streamed(engine, REPLAY_QUERY, asked, counted), scanned)
        arrow = written(Format.ARROW)
        measure("replay, Arrow with its hash", lambda: streamed(engine, REPLAY_QUERY, asked, arrow), scanned)
        measure("trades, batches", lambda: streamed(engine, TRADES_QUERY, RowsRequest(), counted), scanned)
        measure("replay, NDJSON with its hash", lambda: lines(engine), scanned)
        measure("pyarrow scan, plain texts", lambda: scan(home, []), scanned)


def main() -> None:
    """Run with as many rows as were asked for."""
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)


if __name__ == "__main__":
    main()
