"""Lines that are written again and again: some at first, then one now and then, with the number of those left out.

While a broker is away, aiokafka writes a hundred lines a second that say so. Other lines, ours and those of other
libraries, are written once for what happens once; but a registry that fails, clients that ask for the impossible, or
tasks of Faust's that fail each time, make things happen many times.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

LIBRARIES = ("aiokafka", "stamina", "opentelemetry")
"""Loggers that repeat themselves; stamina says each attempt of a commit, with its number."""

AGAIN_AFTER_S = 30.0
"""Seconds until the same line is written again."""

AT_ONCE = 10
"""Warnings of one kind that are written as they come: what differs between them may matter."""

AGAIN_S = 3.0
"""Seconds after which one more of them is: a storm of hours stays readable."""

LINES = 1_000
"""Different lines that are remembered; beyond, all are forgotten: they may hold offsets and ids without end."""

SUBJECTS = ("table", "topic", "partition", "part")
"""Names in our lines that tell what they are about: trouble with one table must not hide that with another."""

Key = tuple[str, ...]


@dataclass
class _Seen:
    """How often a line may still be written, and how many were not."""

    credit: float
    at_s: float
    left_out: int = 0


class Repeats(logging.Filter):
    """Lets a line of those libraries through once in `AGAIN_AFTER_S`, warnings of all others while they are few."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[Key, _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; says at its end how often it was not."""
        if record.name.startswith(LIBRARIES):
            return self._passes(record, (record.name, _said(record)), 1.0, AGAIN_AFTER_S)
        if record.levelno >= logging.WARNING:
            return self._passes(record, (record.name, *_kind(record)), AT_ONCE, AGAIN_S)
        return True

    def _passes(self, record: logging.LogRecord, line: Key, at_once: float, again_s: float) -> bool:
        now = time.monotonic()
        if line not in self._seen and len(self._seen) >= LINES:
            self._seen.clear()
        seen = self._seen.setdefault(line, _Seen(at_once, now))
        seen.credit = min(at_once, seen.credit + (now - seen.at_s) / again_s)
        seen.at_s = now
        if seen.credit < 1:
            seen.left_out += 1
            return False
        seen.credit -= 1
        left_out, seen.left_out = seen.left_out, 0
        if left_out and isinstance(record.msg, dict):
            record.msg = {**record.msg, "times_since": left_out}
        elif left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} times since)", ()
        return True


def _said(record: logging.LogRecord) -> str:
    """What a line says, without what differs each time: structlog hands over a dictionary."""
    return str(record.msg.get("event")) if isinstance(record.msg, dict) else record.getMessage()


def _kind(record: logging.LogRecord) -> Key:
    """What makes warnings one kind: of ours the event and what it is about, of others what stands in their code."""
    if isinstance(record.msg, dict):
        return (_said(record), *(str(record.msg.get(name, "")) for name in SUBJECTS))
    # A text that is all argument (such as those of Python's warnings) is its own kind. Only the first line counts:
    # asyncio writes the address of the task that failed into those below.
    text = record.getMessage() if record.msg == "%s" else str(record.msg)
    return (text.partition("\n")[0],)
