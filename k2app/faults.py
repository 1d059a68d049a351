"""Fault points: where a test may kill the process, switched on by the environment only.

`K2_FAULT=main-committed` kills the process with SIGKILL the first time it gets there; `K2_FAULT=main-committed:3`
the third time. Nothing is set in normal operation, and a point then costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "K2_FAULT"
"""Environment variable that names the point."""

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
    """

    def __init__(self, spec: str) -> None:
        self._point, _, nth = spec.partition(":")
        self._nth = int(nth or 1)
        self._passed: Counter[str] = Counter()

    def point(self, name: str) -> None:
        """Pass the point `name`; the process may end here, as if its power had been cut."""
        if name != self._point:
            return
        self._passed[name] += 1
        if self._passed[name] == self._nth:
            os.kill(os.getpid(), signal.SIGKILL)


def from_environment() -> Faults:
    """Read the fault that the environment asks for."""
    return Faults(os.environ.get(VARIABLE, ""))
