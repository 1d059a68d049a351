"""What metrics and sensors cost a worker: processor time of a drain with them and without, in turns.

    python bench/instrumentation.py [--rows 400000] [--symbols 500] [--turns 9]

Each turn publishes the same trades to two fresh homes and drains both, each in a process of its own: one with all that
feeds the metrics (counters, gauges, Faust's sensors, looks, one scrape at the end), one with nothing in its place;
which is first changes from turn to turn. Processor time of all threads counts, not the clock on the wall. Prints the
median of the ratios, writes `bench-out/instrumentation.json`, and ends with 1 if they cost more than they may.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from figures import report
from homes import Home
from prometheus_client import generate_latest

from k2app.app import create_app
from k2app.logs import configure
from k2app.settings import Settings, read_settings
from k2app.worker import run

MOST_PERCENT = 2.0
"""What metrics may cost."""

DRAIN_WITHIN_S = 300.0
"""Deadline of one drain: far above the seconds it takes."""

FLUSH_ROWS = 100_000
"""Rows of a flush: several in each drain."""


class Nothing:
    """Takes every call and does nothing; any attribute of it is itself."""

    def __getattr__(self, _name: str) -> Self:
        return self

    def keys(self) -> tuple[()]:
        """None: unpacked, it is nothing as well."""
        return ()

    def __call__(self, *_: Any, **__: Any) -> Self:  # noqa: D102 - the class says it
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Idle(Nothing):
    """A watch that looks at nothing."""

    async def stop(self) -> None:
        """Have nothing to end."""


@contextmanager
def without_instruments() -> Iterator[None]:
    """Put nothing in the place of whatever feeds the metrics."""
    nothing = Nothing()
    with ExitStack() as stack:
        for name, instead in {
            "k2app.ingest.service.Measures": nothing,
            "k2app.ingest.flush.count_flush": nothing,
            "k2app.ingest.flush.count_states": nothing,
            "k2app.app.Sensors": lambda _metrics: None,
            "k2app.app.observed": lambda catalog, _observe: catalog,
            "k2app.app.ObservedRegistry": lambda registry, _metrics: registry,
            "k2app.app.instruments": nothing,
            "k2app.app._watch": lambda *_: Idle(),
        }.items():
            stack.enter_context(patch(name, instead))
        for name in ("Counter.inc", "Gauge.set", "Histogram.observe", "Histogram.time"):
            stack.enter_context(patch(f"prometheus_client.metrics.{name}", nothing))
        yield


def drain_s(rows: int, symbols: int, *, instruments: bool) -> float:
    """Processor seconds of one drain of a fresh home, in a process of its own: from a wired app to its end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(read_settings(home=Path(folder) / "home"))
        home.publish(rows, symbols)
        command = [sys.executable, __file__, "--drain", "with" if instruments else "without"]
        done = subprocess.run(
            command, env=home.environment, check=True, capture_output=True, text=True, timeout=DRAIN_WITHIN_S
        )
        return float(done.stdout)


def drain(instruments: str) -> float:
    """Drain the home of the environment."""
    settings = read_settings(flush={"max_rows": FLUSH_ROWS})
    configure(settings.logs)
    with without_instruments() if instruments == "without" else nullcontext():
        return _drained_s(settings, scrape=instruments == "with")


def _drained_s(settings: Settings, *, scrape: bool) -> float:
    async def drained() -> float:
        app = create_app(settings)
        begun_s = time.process_time()
        await run(app, drain=True)
        if scrape:
            generate_latest(app.metrics.registry)
        return time.process_time() - begun_s

    return asyncio.run(drained())


def main() -> None:
    """Measure, print, and say whether it is little enough."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--drain", choices=("with", "without"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain is not None:
        print(drain(options.drain))
        return
    turns = [_turn(turn, options) for turn in range(-1, options.turns)][1:]
    ratios = [with_s / without_s for with_s, without_s in turns]
    low, median, high = statistics.quantiles(ratios, n=4)
    percent = round(100 * (median - 1), 2)
    report(
        "instrumentation",
        [
            {
                "rows": options.rows,
                "symbols": options.symbols,
                "turns": options.turns,
                "with_s": round(statistics.median(one for one, _ in turns), 3),
                "without_s": round(statistics.median(one for _, one in turns), 3),
                "cost_percent": percent,
                "quartiles_percent": f"{100 * (low - 1):.2f} to {100 * (high - 1):.2f}",
            }
        ],
    )
    sys.exit(percent >= MOST_PERCENT)


def _turn(turn: int, options: argparse.Namespace) -> tuple[float, float]:
    found = {}
    for instruments in (True, False) if turn % 2 else (False, True):
        found[instruments] = drain_s(options.rows, options.symbols, instruments=instruments)
    return found[True], found[False]


if __name__ == "__main__":
    main()
