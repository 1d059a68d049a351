"""A small mutable set of disjoint inclusive ranges of integers, kept sorted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""Start and end, both inclusive."""


class RangeSet:
    """Disjoint inclusive ranges, ascending.

    Two parallel lists, so that a lookup is one bisection. The caller keeps the ranges disjoint.
    """

    __slots__ = ("_distances", "ends", "starts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        # From each range to the next: kept, since a full set looks for the smallest at every record.
        self._distances: list[int] = []
        self.replace(0, 0, list(ranges))

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Range]:
        return zip(self.starts, self.ends, strict=True)

    def find(self, number: int) -> int:
        """Index of the range that holds the number, or -1."""
        index = bisect_right(self.starts, number) - 1
        return index if index >= 0 and number <= self.ends[index] else -1

    def next_from(self, number: int) -> int | None:
        """Smallest member that is not below the number, or None."""
        index = bisect_left(self.ends, number)
        return max(number, self.starts[index]) if index < len(self.starts) else None

    def insert(self, start: int, end: int) -> None:
        """Add a range that touches no member of another."""
        index = bisect_left(self.starts, start)
        self.replace(index, index, [(start, end)])

    def replace(self, low: int, high: int, ranges: list[Range]) -> None:
        """Put these, ascending, in the place of the ranges from index `low` up to, not including, `high`."""
        before, last = max(low - 1, 0), max(len(self.starts) - 1, 0)
        self.starts[low:high] = [start for start, _ in ranges]
        self.ends[low:high] = [end for _, end in ranges]
        changed = slice(before, low + len(ranges))
        following = self.starts[before + 1 : low + len(ranges) + 1]
        self._distances[before : min(high, last)] = [
            start - end for start, end in zip(following, self.ends[changed], strict=False)
        ]

    def absorb(self, start: int, end: int) -> None:
        """Add a range that swallows whole ranges but cuts none."""
        self.replace(bisect_left(self.starts, start), bisect_right(self.ends, end), [(start, end)])

    def join_closest(self) -> tuple[Range, Range]:
        """Join the two neighbours with the fewest numbers between them (of equals, the lowest).

        Returns
        -------
        Range
            What lay between them; its end is below its start if nothing did.
        Range
            The two as one.
        """
        index = self._distances.index(min(self._distances))
        between = (self.ends[index] + 1, self.starts[index + 1] - 1)
        joined = (self.starts[index], self.ends[index + 1])
        self.replace(index, index + 2, [joined])
        return between, joined

    def overlapping(self, start: int, end: int) -> tuple[int, int]:
        """Indices, low and beyond high, of the ranges that have members in a range."""
        return bisect_left(self.ends, start), bisect_right(self.starts, end)

    def overlap(self, start: int, end: int) -> int:
        """How many members lie in a range."""
        low, high = self.overlapping(start, end)
        return sum(
            min(e, end) - max(s, start) + 1
            for s, e in zip(self.starts[low:high], self.ends[low:high], strict=True)
        )
