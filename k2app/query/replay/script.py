"""A replay on its way: what is to be written by now, and how long until there is more. Pure, but for its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from k2app.query.beside import Bytes
from k2app.query.reading.ordered import PIECE_ROWS, Place
from k2app.query.replay.lines import Lines, Part
from k2app.query.replay.pace import Pace

PROGRESS_ROWS = PIECE_ROWS
"""Rows after which a resume token comes with the next piece that is written, which is no larger."""

PROGRESS_S = 10.0
"""Seconds without a line after which one says that the stream lives, and where it is."""

GATHERED_BYTES = 262_144
"""Bytes up to which pieces are put together: a write for each would cost more than copying them."""


@dataclass
class Script:
    """One replay to one reader.

    Parameters
    ----------
    lines
        Writes.
    pace
        When rows are due.
    begun_s
        By the clock that `due` is told.
    """

    lines: Lines
    pace: Pace
    begun_s: float
    rows: int = 0
    _part: Part | None = None
    _at: int = 0
    _place: Place | None = None
    _told: int = 0
    _told_s: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._told_s = self.begun_s

    @property
    def is_empty(self) -> bool:
        """Whether the next part is wanted."""
        return self._part is None

    def take(self, part: Part) -> None:
        """Go on with these rows."""
        self._part, self._at = part, 0

    def due(self, now_s: float) -> list[Bytes]:
        """What is to be written by now."""
        written = [] if self._part is None else self._rows(self._part, now_s)
        if self.rows - self._told >= PROGRESS_ROWS or now_s - self._told_s >= PROGRESS_S:
            self._told, self._told_s = self.rows, now_s
            written.append(self.lines.progress(self.rows, self._place))
        return written

    def wait_s(self, now_s: float) -> float:
        """Seconds until something may be due."""
        alive_s = max(0.0, self._told_s + PROGRESS_S - now_s)
        if self._part is None:
            return alive_s
        return min(alive_s, self.pace.wait_s(int(self._part.times_us[self._at]), now_s))

    def _rows(self, part: Part, now_s: float) -> list[Bytes]:
        count = self.pace.due(part.times_us[self._at :], now_s)
        if count == 0:
            return []
        end = self._at + count
        written = _written(part, self._at, end)
        self.rows += count
        self._at, self._place = end, part.place(end - 1)
        if end == len(part):
            self._part = None
        return written


def _written(part: Part, start: int, end: int) -> list[Bytes]:
    """Some rows and the lines before each of them."""
    written: list[Bytes] = []
    at = start
    for row, line in (mark for mark in part.marks if start <= mark[0] < end):
        written += (*_between(part, at, row), line)
        at = row
    return [*written, *_between(part, at, end)]


def _between(part: Part, start: int, end: int) -> Iterator[Bytes]:
    """The blocks' bytes from one row to another."""
    first = int(part.ends[start - 1]) if start else 0
    last = int(part.ends[end - 1]) if end else 0
    at = 0
    for block in part.blocks:
        if first < at + len(block) and at < last:
            yield memoryview(block)[max(0, first - at) : last - at]
        at += len(block)


def gathered(written: list[Bytes]) -> list[Bytes]:
    """A few small pieces as one, and large ones as they are: those would be copied."""
    return [b"".join(written)] if sum(map(len, written)) <= GATHERED_BYTES else written
