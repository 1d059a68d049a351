"""What a process looks at while it runs, for its metrics: its event loop, its log lines, and what is asked seldom.

What may block (a catalog, a disk of the network, a walk through folders) is not asked at a scrape, which the event
loop answers, but every few seconds on a thread; each look waits for nobody but itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from prometheus_client import Counter, Histogram

from k2app.logs import get
from k2app.metrics import ProcessMetrics

logger = get(__name__)

LOOP_LOOK_S = 0.25
"""Seconds that the event loop sleeps between looks at how late it wakes up: four a second cost nothing."""

STOP_WITHIN_S = 1.0
"""Seconds that looks get to end: they end at once, unless they wait for a thread that does not."""

Look = Callable[[], Awaitable[None]]
"""Brings some gauges up to date."""


def on_thread(look: Callable[[], None]) -> Look:
    """A look that blocks."""
    return partial(asyncio.to_thread, look)


class Watch:
    """Looks of one process.

    Parameters
    ----------
    looks
        By what they look at, as it stands in the log when one fails.
    every_s
        Seconds between two looks at the same thing.
    """

    def __init__(self, metrics: ProcessMetrics, looks: Mapping[str, Look], every_s: float) -> None:
        self._metrics = metrics
        self._looks = looks
        self._every_s = every_s
        self._tasks: list[asyncio.Task[None]] = []
        self._lines = Lines(metrics.log_lines)

    def start(self) -> None:
        """Begin; the first looks are taken at once."""
        for what in self._looks:
            # From here on: one that never succeeds must be seen as well.
            self._looked(what)
        watches: list[Coroutine[Any, Any, None]] = [self._watch(*look) for look in self._looks.items()]
        watches.append(watch_loop(self._metrics.loop_delay))
        self._tasks = [asyncio.create_task(watch) for watch in watches]
        self._lines.start()

    async def stop(self) -> None:
        """End; a look that does not come back is not awaited."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_WITHIN_S)
        self._lines.stop()

    async def _watch(self, what: str, look: Look) -> None:
        failing = False
        while True:
            try:
                await look()
                self._looked(what)
                failing = False
            except Exception as error:  # noqa: BLE001 - the top of a task; that its gauges are old is told by `looked`
                tell = logger.debug if failing else logger.warning
                tell("look_failed", what=what, error=str(error))
                failing = True
            await asyncio.sleep(self._every_s)

    def _looked(self, what: str) -> None:
        self._metrics.looked.labels(what).set(time.time())


async def watch_loop(delay: Histogram) -> None:
    """Observe how much later than asked for the event loop wakes up."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LOOP_LOOK_S
        await asyncio.sleep(LOOP_LOOK_S)
        delay.observe(max(loop.time() - due_s, 0.0))


class Lines(logging.Filter):
    """Counts the lines that the process's handler writes: added to it last, it sees what other filters let through."""

    def __init__(self, lines: Counter) -> None:
        super().__init__()
        self._lines = lines
        self._handler: logging.Handler | None = None

    def start(self) -> None:
        """Count from now on."""
        # `k2app.logs` gives the root logger one handler; where a test adds others, they get the same lines.
        self._handler = next(iter(logging.getLogger().handlers), None)
        if self._handler is not None:
            self._handler.addFilter(self)

    def stop(self) -> None:
        """Count no more."""
        if self._handler is not None:
            self._handler.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Count a line, and let it through."""
        self._lines.labels(record.levelname.lower()).inc()
        return True
