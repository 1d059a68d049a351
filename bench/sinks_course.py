"""One contender's run: from its start until its table holds every row, with what it took on the way."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table.snapshots import Snapshot
from sinks_contenders import Contender
from sinks_usage import usage

from k2app.errors import TransientError
from k2app.stream.kafka_admin import KafkaAdmin
from tests.services.servers import running

LOOK_S = 0.25
"""Seconds between two looks at a contender and its table."""

WITHIN_S = 3_600.0
"""Seconds after which a contender is given up."""

SESSION_WITHIN_S = 180.0
"""Seconds for a consumer group to become empty: more than any session lasts."""

SHOWN = 3_000
"""Characters of what it said last that are shown then."""

WARM = 0.25
"""Part of the rows after which a contender counts as warm."""

MS_PER_S = 1_000


@dataclass(frozen=True)
class Spent:
    """Seconds since the start of a process: of the clock, and of processors."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Course:
    """What a run took.

    Parameters
    ----------
    whole
        To the commit of the last row.
    start
        To when it had joined its consumer group, just before its first fetch.
    warm
        To when a quarter of the rows was committed: what was compiled and filled by then, is. What had been read ahead
        of that commit makes the rest look cheaper: by a flush of several for K2, by little for those who commit often.
    warm_rows
        Rows committed then; all of them, if one commit held them.
    broker_cpu_s
        Processor seconds of the broker during the run.
    peak_bytes
        Highest memory of its processes together, of four looks a second.
    """

    whole: Spent
    start: Spent
    warm: Spent
    warm_rows: int
    broker_cpu_s: float
    peak_bytes: int


def run(contender: Contender, rows: int, admin: KafkaAdmin, broker: int) -> Course:
    """Run it until its table holds all rows, then end it.

    Parameters
    ----------
    broker
        Process id of the broker.
    """
    _wait_for_group_to_empty(admin, contender.group)
    broker_before_s = usage(broker).cpu_s
    marks = _Marks(rows)
    with running(contender.command, contender.output, lambda: True, **contender.environment) as process:
        while marks.committed < rows:
            _check(contender, process, marks)
            marks.look(contender, process.pid, admin)
            time.sleep(LOOK_S)
        broker_s = usage(broker).cpu_s - broker_before_s
    whole = Spent(all_committed_at(contender, rows) - marks.begun, marks.spent.cpu_s)
    return Course(whole, marks.start, marks.warm, marks.warm_rows, broker_s, marks.peak_bytes)


class _Marks:
    """What is noted at each look."""

    def __init__(self, rows: int) -> None:
        self.rows, self.begun = rows, time.time()
        self.committed = self.warm_rows = self.peak_bytes = 0
        self.start = self.warm = self.spent = Spent(0.0, 0.0)
        self.joined = False

    def look(self, contender: Contender, pid: int, admin: KafkaAdmin) -> None:
        self.committed = committed_rows(contender)
        taken = usage(pid)
        self.spent = Spent(time.time() - self.begun, taken.cpu_s)
        self.peak_bytes = max(self.peak_bytes, taken.resident_bytes)
        if not self.joined and _has_members(admin, contender.group):
            self.joined, self.start = True, self.spent
        if self.warm_rows == 0 and self.committed >= self.rows * WARM:
            self.warm_rows, self.warm = self.committed, self.spent


def committed_rows(contender: Contender) -> int:
    """Rows of the table's current snapshot."""
    return max((rows for rows, _ in _totals(contender)), default=0)


def all_committed_at(contender: Contender, rows: int) -> float:
    """When the table came to hold this many rows, in seconds since 1970."""
    return min(at_s for total, at_s in _totals(contender) if total >= rows)


def _totals(contender: Contender) -> list[tuple[int, float]]:
    """Rows after each snapshot, with its time."""
    with suppress(NoSuchTableError):
        found = contender.catalog.load_table(contender.table).snapshots()
        return [(_total(one), one.timestamp_ms / MS_PER_S) for one in found]
    return []


def _total(snapshot: Snapshot) -> int:
    return 0 if snapshot.summary is None else int(snapshot.summary["total-records"] or 0)


def _wait_for_group_to_empty(admin: KafkaAdmin, group: str) -> None:
    """A member of before that did not say goodbye stays until its session ends, and holds up whoever comes next."""
    deadline = time.monotonic() + SESSION_WITHIN_S
    while _has_members(admin, group):
        if time.monotonic() > deadline:
            raise SystemExit(f"consumer group {group} still has members after {SESSION_WITHIN_S:.0f} s")
        time.sleep(LOOK_S)


def _has_members(admin: KafkaAdmin, group: str) -> bool:
    with suppress(TransientError):
        return admin.group_members(group) > 0
    return False


def _check(contender: Contender, process: subprocess.Popen[bytes], marks: _Marks) -> None:
    """End if nothing will come of it any more."""
    if process.poll() is None and marks.spent.wall_s < WITHIN_S:
        return
    said = contender.output.read_text(errors="replace")[-SHOWN:]
    raise SystemExit(
        f"{contender.name}, exit status {process.poll()} after {marks.spent.wall_s:.0f} s with {marks.committed:,} "
        f"rows committed, said at last:\n{said}"
    )
