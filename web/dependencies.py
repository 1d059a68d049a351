"""What the views need, handed in by `k2app.app`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from k2app.heartbeat import Heartbeat
from k2app.metrics import Metrics
from k2app.query.engine import QueryEngine
from web.readiness import Checks

Readiness = Callable[[], Awaitable[Checks]]
"""Looks at everything that the process needs."""


@dataclass(frozen=True)
class Dependencies:
    """What the views need."""

    engine: QueryEngine
    metrics: Metrics
    readiness: Readiness
    idle_s: float = 30.0
    """Seconds in which a client must have taken in some of its answer."""
    loop_delay_s: float = 5.0
    """Seconds that the event loop may be late before the process is not live."""
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
