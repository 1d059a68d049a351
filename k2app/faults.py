"""Fault points: where a test may kill the process, switched on by the environment only.

`K2_FAULT=main-committed` kills the process with SIGKILL the first time it gets there; `K2_FAULT=main-committed:3`
the third time. `K2_FAULT_TRACE=FILE` writes down every point that is passed, so that a kill from outside can be placed
between two of them. Nothing is set in normal operation, and a point then costs two comparisons.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "K2_FAULT"
"""Environment variable that names the point."""

TRACE_VARIABLE = "K2_FAULT_TRACE"
"""Environment variable that names the file to which points passed are appended: `PROCESS POINT`, one a line."""

POINTS = (
    "flush-started",
    "files-written",
    "dead-letters-committed",
    "gaps-committed",
    "main-committed",
    "states-written",
    "watermarks-written",
    "flush-acknowledged",
)
"""Points of one flush, in order; see `k2app.ingest.flush`."""


class Faults:
    """Counts how often each point was passed.

    Parameters
    ----------
    spec
        Text of the variable: `POINT` or `POINT:N`; empty: no fault.
    trace
        Path of the file that points passed are appended to; empty: they are not. Processes may share it.
    """

    def __init__(self, spec: str, trace: str = "") -> None:
        self._point, _, nth = spec.partition(":")
        self._nth = int(nth or 1)
        self._passed: Counter[str] = Counter()
        self._trace = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if trace else None

    def point(self, name: str) -> None:
        """Pass the point `name`; the process may end here, as if its power had been cut."""
        if self._trace is not None:
            # One write: it is in the file, whole, whatever becomes of the process.
            os.write(self._trace, f"{os.getpid()} {name}\n".encode())
        if name != self._point:
            return
        self._passed[name] += 1
        if self._passed[name] == self._nth:
            os.kill(os.getpid(), signal.SIGKILL)


def from_environment() -> Faults:
    """Read the fault, and the trace, that the environment asks for."""
    return Faults(os.environ.get(VARIABLE, ""), os.environ.get(TRACE_VARIABLE, ""))
