"""Lines that a library writes again and again: once in a while, with the number of those left out.

While a broker is away, aiokafka writes a hundred lines a second that say so.
"""

from __future__ import annotations

import logging
import time

LIBRARIES = ("aiokafka", "stamina")
"""Loggers that repeat themselves; stamina says each attempt of a commit, with its number."""

AGAIN_AFTER_S = 30.0
"""Seconds until the same line is written again."""

LINES = 1_000
"""Different lines that are remembered; beyond, all are forgotten: they may hold offsets and ids without end."""


class Repeats(logging.Filter):
    """Lets a line of those libraries through once in `AGAIN_AFTER_S`."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; says at its end how often it was not."""
        if not record.name.startswith(LIBRARIES):
            return True
        line = (record.name, _said(record))
        written_at, left_out = self._seen.get(line, (float("-inf"), 0))
        now = time.monotonic()
        if now - written_at < AGAIN_AFTER_S:
            self._seen[line] = (written_at, left_out + 1)
            return False
        if len(self._seen) >= LINES:
            self._seen.clear()
        self._seen[line] = (now, 0)
        if left_out and isinstance(record.msg, dict):
            record.msg = {**record.msg, "times_since": left_out}
        elif left_out:
            record.msg, record.args = f"{line[1]} (and {left_out} times since)", ()
        return True


def _said(record: logging.LogRecord) -> str:
    """What a line says, without what differs each time: structlog hands over a dictionary."""
    return str(record.msg.get("event")) if isinstance(record.msg, dict) else record.getMessage()
