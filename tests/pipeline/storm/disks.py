"""Disks without space, without the right to mount one: a process that may write nothing beyond a file's first byte."""

import os
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from tests.pipeline.homes import Home, stopped
from tests.processes import ended

WORKER = Path(__file__).with_name("scarce_worker.py")

FULL = ("sh", "-c", 'ulimit -S -f 0 && exec "$@"', "sh")
"""Words before a command whose disk is full from its start."""


def fill(pid: int, beyond_bytes: int = 0) -> None:
    """Let every write of a process beyond so many bytes of a file fail from now on; pipes go on."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (beyond_bytes, resource.RLIM_INFINITY))


def free(pid: int) -> None:
    """Let a process write again."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Printed:
    """What a process prints, as it prints it; read all the time, so that it never waits for its reader."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._lines: list[str] = []
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._lines.extend(self._stream)

    def __len__(self) -> int:
        return len(self._lines)

    def since(self, line: int) -> str:
        """Text from a line on."""
        return "".join(self._lines[line:])

    def finish(self) -> str:
        """Everything, once the process has ended."""
        ended(self._thread)
        return self.since(0)


@contextmanager
def scarce_worker(home: Home, points: list[str], **environment: str):
    """Run a worker whose disk fills up at `points`; yields the process and what it prints."""
    process = subprocess.Popen(
        [sys.executable, str(WORKER), ",".join(points)],
        env=os.environ | home.environment | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed = Printed(process)
    with stopped(process):
        try:
            yield process, printed
        finally:
            process.kill()
            printed.finish()
