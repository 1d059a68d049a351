"""Turns of writers that share a catalog: who waits for its turn is not overtaken again and again.

Commits are right without turns: they are conditional, and one of two that meet goes round. But an attempt takes its
time, and on a busy machine a writer that is slow, or has just started, may be overtaken by the others for as long as
it tries. Writers of one process take turns whatever the catalog is; where it is a SQLite file, so do the processes of
the machine, by a lock beside it. Catalogs that several machines share have many more answers a second to give.

A turn is waited for, and then done without: whoever has it may have been stopped, and must not stop the others.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import make_url

WAIT_S = 5.0
"""Most seconds that a turn is waited for: some commits of others on a busy machine."""

LOOK_S = 0.01
"""Seconds between looks whether it is free: a fraction of a commit."""


class Turns:
    """Turns at the tables of one catalog.

    Parameters
    ----------
    uri
        Of the catalog. Locks are files beside a SQLite catalog's; other catalogs have none.
    wait_s
        Seconds after which whoever waits goes on without.
    """

    def __init__(self, uri: str, wait_s: float = WAIT_S) -> None:
        self._catalog = _file_of(uri)
        self._wait_s = wait_s
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def at(self, table: str) -> Iterator[None]:
        """Hold the turn at a table, if it can be had in time. Blocks."""
        deadline_s = time.monotonic() + self._wait_s
        with self._guard:
            lock = self._locks.setdefault(table, threading.Lock())
        ours = lock.acquire(timeout=self._wait_s)
        try:
            with self._among_processes(table, deadline_s):
                yield
        finally:
            if ours:
                lock.release()

    @contextmanager
    def _among_processes(self, table: str, deadline_s: float) -> Iterator[None]:
        handle = self._opened(table)
        if handle is None:
            yield
            return
        try:
            while not _taken(handle) and time.monotonic() < deadline_s:
                time.sleep(LOOK_S)
            yield
        finally:
            # Closed is unlocked, however the process ends.
            os.close(handle)

    def _opened(self, table: str) -> int | None:
        if self._catalog is None:
            return None
        path = self._catalog.with_name(f"{self._catalog.name}.{table}.turn")
        with suppress(OSError):  # a folder that nobody may write to, a full disk: a turn is not needed
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        return None


def _file_of(uri: str) -> Path | None:
    """File of a SQLite catalog; None: it is another kind."""
    if not uri.startswith("sqlite"):
        return None
    name = make_url(uri).database
    return Path(name) if name and not name.startswith((":memory:", "file:")) else None


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
