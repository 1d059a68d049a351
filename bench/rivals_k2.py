"""K2's part of `bench/rivals.py`: answers questions over a pipe, a line each, and says how long each took.

Runs in K2's own environment: the others' packages do not go with it. What is timed is what is timed of the others, from
the question to an Arrow table in the memory of the process that answers; the pipe only carries the figures.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import closing
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from paired import Ask
from rivals_questions import (
    COLUMNS,
    END_US,
    POINT_ROWS,
    START_US,
    SYMBOL,
    TAQ_END_US,
    TAQ_START_US,
)
from serving_lake import files_of, lake_of

from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.bars.request import BarsRequest
from k2app.query.engine import QueryEngine
from k2app.query.queries import BARS_QUERY, TAQ_QUERY
from k2app.query.requests import RowsRequest
from k2app.query.taq.request import TaqRequest

MAX_ROWS = 1_000_000
"""All bars in one page: the others have no pages."""

PATIENCE_S = 600.0
"""Seconds that a question may take: the others have no limit, and the machine may be busy."""


def main() -> None:
    """Say where the files are, then answer until the pipe is closed."""
    settings = lake_of(int(sys.argv[1]))
    limits = settings.query.model_copy(update={"max_rows": MAX_ROWS, "timeout_s": PATIENCE_S})
    settings = settings.model_copy(update={"query": limits})
    with closing(open_catalog(settings)) as catalog:
        engine = QueryEngine(settings, catalog, exchanges.load())
        with closing(engine):
            asks = questions(engine)
            say(
                files={name: files_of(settings, Name(name)) for name in COLUMNS},
                versions={"K2's DuckDB": version("duckdb"), "K2's pyarrow": version("pyarrow")},
                threads=settings.query.threads,
            )
            for line in sys.stdin:
                say(**answered(asks[line.strip()]))


def say(**members: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def questions(engine: QueryEngine) -> dict[str, Ask]:
    """The questions, by name; bars leave no trade out, since the others know no rule for it."""
    point = RowsRequest(
        symbol=(SYMBOL,), start=START_US, end=END_US, limit=POINT_ROWS, columns=COLUMNS["trades"]
    )
    one = BarsRequest(symbol=(SYMBOL,), limit=MAX_ROWS, all_conditions=True)
    every = BarsRequest(limit=MAX_ROWS, all_conditions=True)
    taq = TaqRequest(symbol=(SYMBOL,), start=TAQ_START_US, end=TAQ_END_US, limit=MAX_ROWS)
    return {
        "point": lambda: engine.trades(point).rows,
        "bars, one symbol": lambda: engine.answer(BARS_QUERY, one).rows,
        "bars, all symbols": lambda: engine.answer(BARS_QUERY, every).rows,
        "taq": lambda: engine.answer(TAQ_QUERY, taq).rows,
    }


def answered(ask: Ask) -> dict[str, Any]:
    """Milliseconds and processor milliseconds of one answer, and what it is compared by."""
    cpu, begun = time.process_time(), time.perf_counter()
    found: Any = ask()
    wall_ms = (time.perf_counter() - begun) * 1_000
    cpu_ms = (time.process_time() - cpu) * 1_000
    table: pa.Table = found
    volume = table["volume" if "volume" in table.column_names else "quantity"]
    return {
        "ms": wall_ms,
        "cpu_ms": cpu_ms,
        "rows": table.num_rows,
        "volume": int(pc.sum(volume.cast(pa.decimal128(38, 8))).as_py()),
        "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


if __name__ == "__main__":
    main()
