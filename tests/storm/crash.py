"""The long storm: a worker killed a hundred times while a million rows are loaded, against an undisturbed run.

    python tests/storm/crash.py [--rows 1000000] [--kills 100] [--seed 7] [--keep FOLDER]

One load is published while `k2 worker` is killed with SIGKILL at random moments and started again. A kill counts if
the lake's floor moved since the last one that counted. At the end the log is read to its end, the same log is ingested
into a second lake that nobody disturbs, and both must be equal: rows by coordinates with all their columns, gap
events, dead letters, floors, sequence states; and each offset of the log must be in the lake once. Exit status 1
names what differs.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from k2app.lake.tables import Name
from tests.pipeline.homes import Home, stopped
from tests.storm.comparison import differences, flags
from tests.storm.market import Market, write_market
from tests.storm.production import Lot, Production
from tests.storm.storm import STEPS, Storm, Tally, four_partitions, small_flushes, undisturbed

FLUSHES_PER_KILL = 8
"""Small flushes that a lot makes: so many are under way between two kills, about."""

BLOCKS_PER_LOT = 4
"""Blocks in which the loader sends a lot."""

DRAIN_WITHIN_S = 600.0
"""Seconds to read what is left to the end: far above what it takes."""

SHOWN_EVERY = 10
"""Kills between two lines of progress."""


@dataclass(frozen=True)
class Outcome:
    """How a storm ended."""

    home: Home
    market: Market
    dead_letters: int
    tally: Tally
    differences: list[str]


def run(folder: Path, rows: int, kills: int, seed: int, progress=lambda _tally: None) -> Outcome:
    """Run a storm in `folder`, and hold its lake against an undisturbed one."""
    market = write_market(folder / "trades.csv", rows, seed)
    home = four_partitions(Home(folder / "home"))
    _ = home.log
    lot_rows = -(-market.rows // kills)
    block_bytes = max(market.bytes // market.rows * lot_rows // BLOCKS_PER_LOT, 4096)
    production = Production(home, folder / "trades.csv", Lot(lot_rows, block_bytes))

    def after_kill(tally: Tally) -> None:
        production.allow()
        progress(tally)

    production.start()
    try:
        tally = Storm(home, small_flushes(max(lot_rows // FLUSHES_PER_KILL, 10)), after_kill).rage(
            kills, seed
        )
        report = production.finish()
    finally:
        production.cancel()
    assert (market.rows, market.rejects) == (report.rows, report.rejects)
    drain(home)
    other = undisturbed(home, folder / "undisturbed")
    drain(other)
    return Outcome(home, market, production.bad, tally, differences(home, other))


def drain(home: Home) -> None:
    """Run a worker to the end of the log."""
    with stopped(home.start("--drain"), DRAIN_WITHIN_S) as worker:
        printed, _ = worker.communicate(timeout=DRAIN_WITHIN_S)
        assert 0 == worker.returncode, printed[-3_000:]


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="folder to leave the homes in; it is emptied first")
    options = parser.parse_args()
    console, started = Console(highlight=False), time.monotonic()

    def progress(tally: Tally) -> None:
        if tally.kills % SHOWN_EVERY == 0:
            console.print(f"{tally.kills} kills after {time.monotonic() - started:.0f} s")

    folder = options.keep or Path(tempfile.mkdtemp(prefix="k2-crash-"))
    if options.keep:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        outcome = run(folder, options.rows, options.kills, options.seed, progress)
        _print(console, outcome, time.monotonic() - started)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if outcome.differences else 0


def _print(console: Console, outcome: Outcome, took_s: float) -> None:
    console.print(_kills(outcome.tally))
    starts = outcome.tally.restarts_s
    home = outcome.home
    counts = ", ".join(f"{flag} {count:,}" for flag, count in flags(home).most_common())
    snapshots = len(home.table(Name.TRADES).snapshots())
    gaps = home.table(Name.GAPS).scan().count()
    letters = home.table(Name.DEAD_LETTERS).scan().count()
    console.print(
        f"rows: {outcome.market.rows:,} in {snapshots:,} commits; {outcome.market.rejects:,} rejected"
    )
    console.print(f"flags: {counts}")
    console.print(f"gap events: {gaps:,}; dead letters: {letters:,}")
    console.print(
        f"start to first commit: median {statistics.median(starts):.1f} s, "
        f"fastest {min(starts):.1f} s, slowest {max(starts):.1f} s"
    )
    console.print(f"duration: {took_s:.0f} s")
    for problem in outcome.differences:
        console.print(f"DIFFERENT: {problem}", markup=False)
    if not outcome.differences:
        console.print(
            "equal to the undisturbed run: rows, flags, gap events, dead letters, floors, states, audit"
        )


def _kills(tally: Tally) -> Table:
    table = Table("killed while", "counted", "nothing committed since the last", title="kills by step")
    for step in sorted(set(STEPS.values()), key=list(STEPS.values()).index):
        table.add_row(step, str(tally.counted[step]), str(tally.others[step]))
    table.add_row("all", str(tally.kills), str(tally.others.total()))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
