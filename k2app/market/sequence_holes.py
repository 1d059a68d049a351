"""What one key has not received: open gaps, and what is no longer known since their number is limited.

Invariants, after every call:

* gaps are disjoint and ascending; so are uncertain ranges, and no two of these are adjacent;
* a gap may enclose uncertain ranges, and every other number in it is missing; its two ends are missing;
* there are at most `limit` of each.

"Inside an open gap" therefore means: in a gap and in no uncertain range.
"""

from __future__ import annotations

from collections.abc import Iterable

from k2app.market.sequence_events import EventLog
from k2app.market.sequence_ranges import Range, RangeSet


class Holes:
    """Open gaps and uncertain ranges of one (symbol, scope), mutable while a batch is judged."""

    __slots__ = ("gaps", "limit", "uncertain")

    def __init__(self, gaps: Iterable[Range], uncertain: Iterable[Range], limit: int) -> None:
        self.gaps = RangeSet(gaps)
        self.uncertain = RangeSet(uncertain)
        self.limit = limit

    def missing_index(self, number: int) -> int:
        """Index of the open gap in which the number is missing, or -1."""
        return -1 if self.uncertain.find(number) >= 0 else self.gaps.find(number)

    def missing_run(self, number: int) -> int:
        """How many numbers from this one on are missing, if it is the first of an open gap; else 0."""
        index = self.gaps.find(number)
        if index < 0 or self.gaps.starts[index] != number:
            return 0
        unknown = self.uncertain.next_from(number)
        end = self.gaps.ends[index] + 1
        return (end if unknown is None else min(end, unknown)) - number

    def received_run(self, number: int, most: int) -> int:
        """How many numbers from this one on, up to `most`, are neither missing nor uncertain."""
        nearest = (self.gaps.next_from(number), self.uncertain.next_from(number))
        return min([most, *(odd - number for odd in nearest if odd is not None)])

    def open(self, start: int, end: int, position: int, log: EventLog) -> None:
        """Open a gap of numbers in no other; nothing if its end is below its start."""
        if start > end:
            return
        self.gaps.insert(start, end)
        log.opened(position, start, end)
        self._keep_to_limit(position, log)

    def fill(self, index: int, number: int, position: int, log: EventLog) -> None:
        """Take one missing number out of a gap."""
        log.filled(position, number, 1)
        self._take(index, number, number)
        self._keep_to_limit(position, log)

    def fill_run(self, number: int, count: int, position: int, log: EventLog) -> None:
        """Take the first numbers out of the gap that starts with this one; it only shrinks."""
        log.filled(position, number, count)
        self._take(self.gaps.find(number), number, number + count - 1)

    def abandon(self, position: int, log: EventLog) -> None:
        """Give up every gap: the numbering starts again."""
        for start, end in self.gaps:
            log.abandoned(position, start, end, end - start + 1 - self.uncertain.overlap(start, end))
        self.gaps, self.uncertain = RangeSet(), RangeSet()

    def _take(self, index: int, first: int, last: int) -> None:
        start, end = self.gaps.starts[index], self.gaps.ends[index]
        parts = [self._trimmed(start, first - 1), self._trimmed(last + 1, end)]
        self.gaps.replace(index, index + 1, [part for part in parts if part[0] <= part[1]])

    def _trimmed(self, start: int, end: int) -> Range:
        """A range less what is uncertain at its ends; empty if its end is below its start."""
        if (low := self.uncertain.find(start)) >= 0:
            start = self.uncertain.ends[low] + 1
        if start <= end and (high := self.uncertain.find(end)) >= 0:
            end = self.uncertain.starts[high] - 1
        return start, end

    def _keep_to_limit(self, position: int, log: EventLog) -> None:
        while len(self.gaps) > self.limit:
            (start, end), _ = self.gaps.join_closest()
            if start <= end:
                self.uncertain.absorb(start, end)
                log.merged(position, start, end)
        while len(self.uncertain) > self.limit:
            between, joined = self.uncertain.join_closest()
            log.merged(position, *between)
            self._trim_gaps(*joined)

    def _trim_gaps(self, start: int, end: int) -> None:
        """Take what is now uncertain from the ends of gaps, and gaps of which nothing else is left."""
        low, high = self.gaps.overlapping(start, end)
        trimmed = [
            self._trimmed(*gap)
            for gap in zip(self.gaps.starts[low:high], self.gaps.ends[low:high], strict=True)
        ]
        self.gaps.replace(low, high, [gap for gap in trimmed if gap[0] <= gap[1]])
