"""A storm: a worker killed with SIGKILL from outside at random moments, and started again, while rows arrive."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.pipeline.homes import Home
from tests.processes import WITHIN_S

AIMS = {"early": 0.1, "any": 0.4, "step": 0.5}
"""Shares of the workers that are killed at any moment from their start on, whether they committed or not; at any
moment after their first commit; just after they begin a step of a flush: most steps are too short to be hit by chance.
"""

EARLY_WITHIN_S = 3.0
"""Seconds from the start within which those are killed: about what a start takes."""

KILL_WITHIN_S = 1.0
"""Seconds after a worker's first commit within which the others are killed: several flushes."""

STEP_WITHIN_S = 0.03
"""Seconds after the beginning of a step within which a worker is killed: about what a short step takes."""

FLUSH_WITHIN_S = 5.0
"""Seconds for the step to come; a worker that has nothing to commit is killed then."""

POLL_S = 0.02
"""Seconds between looks at a worker."""

QUICK_POLL_S = 0.001
"""Seconds between looks at a worker that is about to begin a step."""

MOVE_WITHIN_S = 60.0
"""Seconds for a worker to start and commit: far above what it takes, so that only a hang meets it."""

STEPS = {
    "": "0 starting, restoring, reading",
    "flush-started": "1 writing data files",
    "files-written": "2 committing dead letters",
    "dead-letters-committed": "2 committing gap events",
    "gaps-committed": "3 committing rows and floor",
    "main-committed": "4 writing states",
    "states-written": "4 writing watermarks",
    "watermarks-written": "5 acknowledging",
    "flush-acknowledged": "- between two flushes",
}
"""Last point that a killed worker had passed, and what it was at; see `k2app.ingest.flush`."""


@dataclass
class Tally:
    """What a storm did."""

    counted: Counter[str] = field(default_factory=Counter)
    """Kills between which the floor moved, by step."""
    others: Counter[str] = field(default_factory=Counter)
    """Kills since whose predecessor nothing was committed, by step."""
    restarts_s: list[float] = field(default_factory=list)
    """From a worker's start to its first commit."""

    @property
    def kills(self) -> int:
        """Kills that count."""
        return self.counted.total()


class Storm:
    """Kills workers of one home.

    Parameters
    ----------
    flush
        K2_ variables of the workers that make many small flushes.
    after_kill
        Called after every kill that counts.
    """

    def __init__(self, home: Home, flush: dict[str, str], after_kill: Callable[[Tally], None]) -> None:
        self._home, self._flush, self._after_kill = home, flush, after_kill
        self._trace = home.path / "trace"
        self._trace.touch()
        self.printed = home.path / "workers.log"
        self.tally = Tally()
        self._floor = committed(home)

    def rage(self, kills: int, seed: int) -> Tally:
        """Start and kill workers until `kills` count."""
        rng = np.random.default_rng(seed)
        while self.tally.kills < kills:
            self._one_life(rng)
        return self.tally

    def _one_life(self, rng: np.random.Generator) -> None:
        traced = self._trace.stat().st_size
        with self._worker() as worker:
            try:
                self._until_the_moment(worker, traced, rng)
            finally:
                worker.send_signal(signal.SIGKILL)
                worker.wait(WITHIN_S)
        self._count(self._step(worker.pid, traced))

    def _until_the_moment(
        self, worker: subprocess.Popen[bytes], traced: int, rng: np.random.Generator
    ) -> None:
        """Wait until the worker is to be killed."""
        aim, share = rng.choice([*AIMS], p=[*AIMS.values()]), rng.random()
        point = str(rng.choice([point for point in STEPS if point]))
        if aim == "early":
            self._wait(worker, lambda: False, share * EARLY_WITHIN_S)
            return
        started = time.monotonic()
        self._await_commit(worker, traced)
        self.tally.restarts_s.append(time.monotonic() - started)
        if aim == "step":
            self._await_step(worker, traced, point)
        self._wait(worker, lambda: False, share * (STEP_WITHIN_S if aim == "step" else KILL_WITHIN_S))

    def _worker(self) -> subprocess.Popen[bytes]:
        environment = os.environ | self._home.environment | self._flush | {"K2_FAULT_TRACE": str(self._trace)}
        with self.printed.open("ab") as printed:
            return subprocess.Popen(
                [sys.executable, "-m", "k2app.cli.k2", "worker"],
                env=environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )

    def _await_commit(self, worker: subprocess.Popen[bytes], traced: int) -> None:
        # The trace is cheap to look at; the floor is what counts.
        moved = self._wait(
            worker,
            lambda: (
                "main-committed" in self._points(worker.pid, traced) and committed(self._home) > self._floor
            ),
            MOVE_WITHIN_S,
        )
        assert moved, f"nothing was committed within {MOVE_WITHIN_S} s; {self._tail()}"

    def _await_step(self, worker: subprocess.Popen[bytes], traced: int, point: str) -> None:
        before = self._points(worker.pid, traced).count(point)
        self._wait(
            worker,
            lambda: self._points(worker.pid, traced).count(point) > before,
            FLUSH_WITHIN_S,
            QUICK_POLL_S,
        )

    def _wait(
        self,
        worker: subprocess.Popen[bytes],
        holds: Callable[[], bool],
        within_s: float,
        poll_s: float = POLL_S,
    ) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            assert worker.poll() is None, f"a worker ended by itself, {worker.returncode}; {self._tail()}"
            if holds():
                return True
            time.sleep(min(poll_s, max(deadline - time.monotonic(), 0)))
        return False

    def _count(self, step: str) -> None:
        floor = committed(self._home)
        if floor == self._floor:
            self.tally.others[step] += 1
            return
        assert floor > self._floor, f"the floor fell from {self._floor} to {floor}"
        self._floor = floor
        self.tally.counted[step] += 1
        self._after_kill(self.tally)

    # --- what a worker left behind

    def _points(self, pid: int, traced: int) -> list[str]:
        """Points that a worker passed, of what was written beyond byte `traced`."""
        with self._trace.open("rb") as trace:
            trace.seek(traced)
            lines = [line.split() for line in trace.read().decode().splitlines()]
        return [point for process, point in lines if int(process) == pid]

    def _step(self, pid: int, traced: int) -> str:
        return STEPS[next(reversed(self._points(pid, traced)), "")]

    def _tail(self) -> str:
        return f"{self.printed} ends with:\n" + self.printed.read_text(errors="replace")[-3_000:]


def committed(home: Home) -> int:
    """Offsets below the lake's floors, over all partitions."""
    return sum(home.floors().values())


def four_partitions(home: Home) -> Home:
    """The home with asx on four partitions, as it ships."""
    (home.path / "exchanges.toml").write_text("[asx]\npartitions = 4\n")
    return home


def small_flushes(rows: int) -> dict[str, str]:
    """Variables of a worker that commits every `rows` rows, or twice a second."""
    return {
        "K2_FLUSH_MAX_ROWS": str(rows),
        "K2_LOG_FETCH_ROWS": str(max(rows // 4, 1)),
        "K2_FLUSH_INTERVAL_S": "0.5",
    }


def undisturbed(home: Home, path: Path) -> Home:
    """A second home with the same log and an empty lake; nothing that the first one's workers left in the log."""
    other = Home(path)
    (other.path / "exchanges.toml").write_text((home.path / "exchanges.toml").read_text())
    # As SQLite copies it, with what is in its write-ahead log.
    with (
        closing(sqlite3.connect(home.path / "log.db")) as source,
        closing(sqlite3.connect(other.path / "log.db")) as target,
    ):
        source.backup(target)
    for topic in other.log.topics():
        if topic.name.endswith("-changelog"):
            for partition in range(topic.partitions):
                other.log.trim(topic.name, partition, 2**62)
    return other
