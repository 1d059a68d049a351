"""What the views need, handed in by `k2app.app`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from k2app.metrics import Metrics
from k2app.query.engine import QueryEngine

Readiness = Callable[[], Awaitable[list[str]]]
"""Reasons why the process is not ready; none: it is."""


@dataclass(frozen=True)
class Dependencies:
    """What the views need."""

    engine: QueryEngine
    metrics: Metrics
    readiness: Readiness
    idle_s: float = 30.0
    """Seconds in which a client must have taken in some of its answer."""
