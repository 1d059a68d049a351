"""How old the oldest record is that a log holds and the lake does not: by when the log's end was seen to move."""

from __future__ import annotations

from collections import deque

MARKS = 512
"""Moves of a log's end that are remembered of one partition: a look a second, and nothing is coarse for minutes."""


class Lag:
    """Marks of one partition: when the log's end was first seen beyond the mark before, and where it was.

    A producer that never rests keeps the lake behind the log for ever; what tells is the age of what waits.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        self._apart_s = 0.0
        """Seconds between two marks, at least: 0 until there are too many."""

    def look(self, end: int, floor: int, now_s: float) -> float:
        """Note where the log ends and where the lake does; seconds that the oldest record between has waited.

        Parameters
        ----------
        end, floor
            Next offset of the log, and of the lake. A log's end moves back where what seemed to be records turns
            out to be none (markers of transactions).
        now_s
            By a clock that is never set.

        Returns
        -------
        float
            0.0: the lake has everything. Never too short by more than the time between two looks; too long by a
            hundredth at most, where the lake has been behind for more than `MARKS` looks.
        """
        marks = self._marks
        self._cut(end)
        while marks and marks[0][1] <= floor:
            marks.popleft()
        if not marks:
            self._apart_s = 0.0
        if end > (marks[-1][1] if marks else floor):
            self._mark(end, now_s)
        return now_s - marks[0][0] if marks else 0.0

    def _cut(self, end: int) -> None:
        """Forget what was thought to be beyond the end."""
        marks = self._marks
        while len(marks) > 1 and marks[-2][1] >= end:
            marks.pop()
        if marks and marks[-1][1] > end:
            marks[-1] = (marks[-1][0], end)

    def _mark(self, end: int, now_s: float) -> None:
        if self._marks and now_s - self._marks[-1][0] < self._apart_s:
            # As if they had come with those before them.
            now_s, _ = self._marks.pop()
        self._marks.append((now_s, end))
        if len(self._marks) > MARKS:
            self._thin()

    def _thin(self) -> None:
        """Join the marks by twos: the records of both count from the older one's time."""
        marks = list(self._marks)
        pairs = zip(marks[::2], marks[1::2], strict=False)
        self._marks = deque((begun_s, end) for (begun_s, _), (_, end) in pairs)
        if len(marks) % 2:
            self._marks.append(marks[-1])
        self._apart_s = 2 * (marks[-1][0] - marks[0][0]) / MARKS
