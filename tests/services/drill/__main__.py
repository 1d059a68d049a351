"""`make drill`: break a worker under load on purpose, see which alert says so, and that it recovers by itself.

    python -m tests.services.drill [--only NAME] [--keep FOLDER]

A worker ingests what is published without a pause; a real Prometheus scrapes it and evaluates the rules of
deploy/prometheus, hurried. One after the other: the disk is full, the registry is away when it is needed, messages
cannot be read, ten times the load comes, the clock jumps by hours, the process is stopped. Each time an alert has to
fire, and when the cause is gone, everything has to be in the lake and the alert to end, with nobody touching the
worker. At the end each record is in the lake or in the dead letters, once. Exit status 1 names what did not hold.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.services.drill.alarm import alarm
from tests.services.drill.faults import FAULTS
from tests.services.drill.play import Scene, play, settle
from tests.services.drill.stage import stage


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", action="append", choices=names, help="one fault; may be repeated")
    parser.add_argument("--keep", type=Path, help="folder to leave everything in; it is emptied first")
    options = parser.parse_args()
    console = Console(highlight=False)
    # Servers and the worker end with it, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k2-drill-")))
        if options.keep:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        at_work = stack.enter_context(stage(folder))
        watch = stack.enter_context(alarm(folder / "prometheus", at_work.port))
        scenes = []
        for fault in FAULTS:
            if options.only is None or fault.name in options.only:
                console.print(f"{fault.name} ...")
                scenes.append(play(at_work, watch, fault))
                console.print(f"  {scenes[-1].told()}", markup=False)
        problems = [problem for scene in scenes for problem in scene.problems] + settle(at_work)
    show(console, scenes)
    for problem in problems:
        console.print(f"NOT AS IT SHOULD BE: {problem}", markup=False)
    if not problems:
        console.print(
            "recovered from everything by itself; every record is in the lake, or a dead letter, once"
        )
    return 1 if problems else 0


def show(console: Console, scenes: list[Scene]) -> None:
    """Print what was broken, what fired, and how long the way back took."""
    table = Table(
        "broken",
        "alert",
        "fired after s",
        "others",
        "worker said",
        "in the lake after s",
        "alert over after s",
    )
    for scene in scenes:
        table.add_row(
            scene.fault,
            scene.alert,
            f"{scene.fired_s:.0f}",
            ", ".join(sorted(scene.others)) or "-",
            scene.said or "-",
            f"{scene.recovered_s:.0f}",
            f"{scene.quiet_s:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
