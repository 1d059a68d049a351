"""What one would pick instead, on the same rows and in the same run: ArcticDB and chDB beside K2.

Runs in an environment of its own, since neither belongs into K2's (`make bench-rivals`); K2 answers from a process in
its own (`bench/rivals_k2.py`). Answers are compared before anything is timed; then each question is asked of all three
in turns, so that the machine's other work hits them alike. Writes bench-out/rivals.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rivals_arctic
import rivals_chdb
from rivals_questions import TURNS, Sum

OUT = Path("bench-out")

WARM = 2
"""Turns that do not count."""

Asks = dict[str, Callable[[], Any]]
"""Questions by name."""

RIVALS = {"ArcticDB": rivals_arctic, "chDB": rivals_chdb}

Took = tuple[float, float]
"""Milliseconds, and processor milliseconds of all threads."""


class K2:
    """K2 in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.about = self._line()
        self.peak_kb = 0

    def ask(self, question: str) -> tuple[Sum, Took]:
        """What an answer is compared by, and how long it took."""
        self._process.stdin.write(question + "\n")  # type: ignore[union-attr]  # it has a pipe
        self._process.stdin.flush()  # type: ignore[union-attr]
        answer = self._line()
        self.peak_kb = answer["peak_kb"]
        return Sum(answer["rows"], answer["volume"]), (answer["ms"], answer["cpu_ms"])

    def _line(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]  # as above
        return line


@contextmanager
def k2(python: str, rows: int) -> Iterator[K2]:
    """Start K2's process, and end it."""
    command = [python, str(Path(__file__).with_name("rivals_k2.py")), str(rows)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield K2(process)
        process.stdin.close()  # type: ignore[union-attr]  # as above


def took(ask: Callable[[], object]) -> Took:
    """Ask in this process."""
    cpu, begun = time.process_time(), time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1_000, (time.process_time() - cpu) * 1_000


def main() -> None:
    """Load, compare, time, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--python", default=".venv/bin/python", help="Python of K2's environment.")
    options = parser.parse_args()
    with k2(options.python, options.rows) as ours:
        loaded, asks = load(ours.about["files"])
        compare(ours, asks)
        times = timed(ours, asks)
        about = {
            "rows": options.rows,
            "versions": ours.about["versions"] | {n: version(n) for n in ("arcticdb", "chdb", "pandas")},
            "load_s": loaded,
            "peak_mb": {"K2": ours.peak_kb // 1024, "ArcticDB and chDB": _peak_mb()},
        }
    found = [summary(*entry) for entry in times.items()]
    print(json.dumps(about, indent=2))
    for line in found:
        print(line)
    (OUT / "rivals.json").write_text(json.dumps({"about": about, "found": found}, indent=2) + "\n")


def load(files: dict[str, list[str]]) -> tuple[dict[str, float], dict[str, Asks]]:
    """Load both; seconds that it took, and their questions."""
    seconds, asks = {}, {}
    for name, rival in RIVALS.items():
        begun = time.perf_counter()
        asks[name] = rival.questions(files, OUT)
        seconds[name] = round(time.perf_counter() - begun, 1)
        print(f"{name} has the rows after {seconds[name]} s", file=sys.stderr, flush=True)
    return seconds, asks


def compare(ours: K2, asks: dict[str, Asks]) -> None:
    """Check that all have the same answer to each question.

    Raises
    ------
    RuntimeError
        They have not.
    """
    for question in TURNS:
        found = {"K2": ours.ask(question)[0]} | {
            n: RIVALS[n].summed(one[question]()) for n, one in asks.items()
        }
        print(f"{question}: {found['K2']}", file=sys.stderr, flush=True)
        if len(set(found.values())) > 1:
            raise RuntimeError(f"{question}: {found}")


def timed(ours: K2, asks: dict[str, Asks]) -> dict[str, dict[str, list[Took]]]:
    """Times of each question, by who answered, in turns."""
    found: dict[str, dict[str, list[Took]]] = {}
    for question, turns in TURNS.items():
        mine = found[question] = {name: [] for name in ("K2", *asks)}
        for turn in range(-WARM, turns):
            took_of = {"K2": ours.ask(question)[1]} | {n: took(one[question]) for n, one in asks.items()}
            if turn >= 0:
                for name, one in took_of.items():
                    mine[name].append(one)
    return found


def summary(question: str, times: dict[str, list[Took]]) -> dict[str, Any]:
    """Medians; and of the ratios, turn by turn, to K2."""
    return {
        "question": question,
        "ms": {name: round(statistics.median(wall for wall, _ in one), 1) for name, one in times.items()},
        "cpu_ms": {name: round(statistics.median(cpu for _, cpu in one), 1) for name, one in times.items()},
        "to_k2": {
            name: round(
                statistics.median(theirs[0] / ours[0] for theirs, ours in zip(one, times["K2"], strict=True)),
                2,
            )
            for name, one in times.items()
            if name != "K2"
        },
    }


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
