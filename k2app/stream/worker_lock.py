"""The right to consume the embedded log: a lock of the operating system on a file beside it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from k2app.errors import OperatorError

LOOK_S = 0.1
"""Seconds that taking the worker lock waits: whoever asks for its owner holds it for microseconds."""


class WorkerLock:
    """The right to consume a log: one process at a time, given up when the process ends, however it ends."""

    def __init__(self, log: Path) -> None:
        self.path = log.with_name(log.name + ".worker")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        OperatorError
            Another process has it.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock_within(handle, LOOK_S)
        except OSError as error:
            owner = _process_id(handle) or "unknown"
            os.close(handle)
            raise OperatorError(
                f"another worker (process {owner}) already consumes {self.path.with_suffix('')}: the embedded log "
                "has one worker; stop it first, or use Kafka for more (K2_LOG_URL=kafka://HOST:PORT)"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        self._file = handle

    def release(self) -> None:
        """Give the lock up; harmless if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def held_by_another(self) -> bool:
        """Whether a living process consumes the log."""
        return self.owner() is not None

    def owner(self) -> int | None:
        """Id of the process that consumes the log; 0 if it has not written it down yet, None if there is none."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _process_id(handle)
        else:
            return None
        finally:
            os.close(handle)


def _lock_within(handle: int, within_s: float) -> None:
    """Take a lock that somebody else may look at for a moment; raises OSError if it is held for longer."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(within_s / 10)
        else:
            return


def _process_id(handle: int) -> int:
    text = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0
