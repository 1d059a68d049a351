"""Processor time and memory of a process and everything that it started, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
"""What the kernel counts processor time in."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat.

    Parameters
    ----------
    cpu_s
        Processor seconds, user and system, with those of children that ended and were waited for.
    resident_bytes
        Memory held now; pages shared with other processes count in full.
    """

    pid: int
    parent: int
    cpu_s: float
    resident_bytes: int


@dataclass(frozen=True)
class Usage:
    """What a tree of processes took so far, and holds now."""

    cpu_s: float
    resident_bytes: int


def usage(pid: int) -> Usage:
    """Usage of a process and its descendants; zero when it is gone."""
    return tree_usage({one.pid: one for one in _processes()}, pid)


def tree_usage(processes: Mapping[int, Process], root: int) -> Usage:
    """Sum over a process and its descendants.

    Notes
    -----
    A descendant that ended is in its parent's figures, if the parent waited for it: so the sum loses nothing and
    counts nothing twice.
    """
    found = [one for one in processes.values() if _descends(processes, one, root)]
    return Usage(sum(one.cpu_s for one in found), sum(one.resident_bytes for one in found))


def _descends(processes: Mapping[int, Process], one: Process, root: int) -> bool:
    at: Process | None = one
    while at is not None:
        if at.pid == root:
            return True
        at = processes.get(at.parent)
    return False


def parsed(stat: str) -> Process:
    """Read a line of /proc/PID/stat. Source: proc_pid_stat(5).

    Notes
    -----
    The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    """
    pid, _, rest = stat.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    # The first of these is field 3: parent 4; utime, stime, cutime and cstime 14 to 17; resident pages 24.
    cpu_ticks = sum(int(ticks) for ticks in fields[11:15])
    return Process(int(pid), int(fields[1]), cpu_ticks / TICKS_PER_S, int(fields[21]) * PAGE_BYTES)


def _processes() -> Iterator[Process]:
    for folder in PROC.iterdir():
        # A process may end while the list is read.
        with suppress(FileNotFoundError, ProcessLookupError):
            if folder.name.isdecimal():
                yield parsed((folder / "stat").read_text(errors="replace"))
