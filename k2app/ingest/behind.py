"""For how long the lake has lacked what the log holds, though nothing was committed. Pure, but for what it is told."""

from __future__ import annotations

from collections.abc import Callable

LOOK_S = 1.0
"""Seconds between looks: health is told in minutes, and there may be many partitions to look at."""


class Behind:
    """Since when one table is behind; times by a clock that only goes forward."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._looked_s = float("-inf")

    def look(self, is_complete: Callable[[], bool], now_s: float) -> None:
        """Look whether the lake has everything; not each time it is called."""
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        if is_complete():
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s

    def committed(self, now_s: float) -> None:
        """Note a commit: whatever the lake still lacks, it goes on."""
        if self._since_s is not None:
            self._since_s = now_s

    def age_s(self, now_s: float) -> float:
        """Seconds for which nothing was committed though the lake lacks something; 0 if it lacks nothing."""
        return 0.0 if self._since_s is None else now_s - self._since_s
