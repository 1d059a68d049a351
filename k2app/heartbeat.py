"""How late the event loop is: whether it turns, not only whether it once answers."""

from __future__ import annotations

import asyncio
import time

BEAT_S = 0.5
"""Seconds between two beats."""


class Heartbeat:
    """A task that is due every `BEAT_S`, and notes how late it is."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        """How late the last beat was."""
        self._due_s: float | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def late_s(self) -> float:
        """How late the event loop is: by its last beat, or by the one that is overdue."""
        overdue_s = 0.0 if self._due_s is None else time.monotonic() - self._due_s
        return max(self.delay_s, overdue_s)

    def start(self) -> None:
        """Begin to beat, on the running event loop."""
        self._beating = asyncio.create_task(self._beat())

    def stop(self) -> None:
        """Beat no more."""
        if self._beating is not None:
            self._beating.cancel()
        self._due_s, self.delay_s = None, 0.0

    async def _beat(self) -> None:
        while True:
            self._due_s = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.delay_s = max(time.monotonic() - self._due_s, 0.0)
