"""The case table of a contiguous rule, for one record of one key.

For each record in offset order, the first case that matches decides:

== ============================================================ ============== ================================
#  case                                                         flag           effect
== ============================================================ ============== ================================
1  no sequence                                                  `unsequenced`  none
2  no state for the scope                                       `first`        low = high = seq; opens what is
                                                                               missing from a known first number
3  continuous scope, 2 seq < high, event time at least an hour  `reset`        epoch + 1, gaps abandoned,
   after that of high                                                          low = high = seq
4  high + 1                                                     `ok`           high
5  above high + 1                                               `gap`          opens high + 1 .. seq - 1
6  inside an open gap                                           `late`         fills that number
7  below low                                                    `late`         opens seq + 1 .. low - 1; low
8  inside an uncertain range                                    `uncertain`    none
9  below high, later event time than that of high               `regressed`    counted
10 else                                                         `duplicate`    counted
== ============================================================ ============== ================================

Where the table leaves room, this is how it is read:

* Case 2: when the gap from a known first number opens, low is that first number, since the numbers from it
  on are accounted for; otherwise the second copy of a late record would open the gap once more.
* Case 3 compares exactly (integers, no division), for negative numbers too. It opens no gap from a known
  first number: what a venue starts with after a reset is not known. A later lower number is case 7.
* A number below a known first number is case 7 like any other.
* Case 6 means the numbers of the gap that are missing. Merging two gaps makes one, and the numbers that
  were received between them become uncertain: case 8, though the gap encloses them.
* When uncertain ranges come to be more than the limit too, the two closest are joined; what lies between
  becomes uncertain as well, missing or not, and is reported as `merged`.
"""

from __future__ import annotations

import numpy as np

from k2app.market.sequence_events import EventLog
from k2app.market.sequence_flags import (
    DUPLICATE,
    FIRST,
    GAP,
    LATE,
    OK,
    REGRESSED,
    RESET,
    UNCERTAIN,
    Bools,
    Int64s,
)
from k2app.market.sequence_holes import Holes
from k2app.market.sequence_rules import Rule

RESET_AFTER_US = 3_600 * 1_000_000
"""Microseconds; records that are merely reordered never come an hour late in event time."""

LEADING = frozenset({OK, FIRST, GAP, RESET})
"""Flags of records that set high."""


class Key:
    """The state of one (symbol, scope), mutable while a batch is judged."""

    __slots__ = ("continuous", "epoch", "first", "high", "high_time_us", "holes", "known", "log", "low")

    def __init__(self, rule: Rule, holes: Holes, log: EventLog) -> None:
        self.continuous = rule.scope == "continuous"
        self.first = rule.first
        self.holes = holes
        self.log = log
        self.known = False
        self.low = self.high = self.high_time_us = self.epoch = 0

    def restore(self, low: int, high: int, high_time_us: int, epoch: int) -> None:
        """Go on from a state."""
        self.low, self.high, self.high_time_us, self.epoch = low, high, high_time_us, epoch
        self.known = True
        self.log.epoch = epoch

    def lead(self, sequence: int, time_us: int) -> None:
        """Set high, and the event time of the record that did."""
        self.high, self.high_time_us = sequence, time_us

    def judge(self, sequence: int, time_us: int, position: int) -> int:
        """Decide one record; its flag's code."""
        if not self.known:
            return self._begin(sequence, time_us, position)
        if self._is_reset(sequence, time_us):
            return self._reset(sequence, time_us, position)
        if sequence > self.high:
            return self._advance(sequence, time_us, position)
        if self._is_late(sequence, position):
            return LATE
        if self.holes.uncertain.find(sequence) >= 0:
            return UNCERTAIN
        return REGRESSED if sequence < self.high and time_us > self.high_time_us else DUPLICATE

    def _is_late(self, sequence: int, position: int) -> bool:
        """Cases 6 and 7, with their effects."""
        gap = self.holes.missing_index(sequence)
        if gap >= 0:
            self.holes.fill(gap, sequence, position, self.log)
        elif sequence < self.low:
            end, self.low = self.low - 1, sequence
            self.holes.open(sequence + 1, end, position, self.log)
        else:
            return False
        return True

    def _begin(self, sequence: int, time_us: int, position: int) -> int:
        self.restore(sequence, sequence, time_us, 0)
        if self.first is not None and self.first < sequence:
            self.low = self.first
            self.holes.open(self.first, sequence - 1, position, self.log)
        return FIRST

    def _is_reset(self, sequence: int, time_us: int) -> bool:
        in_time = time_us - self.high_time_us >= RESET_AFTER_US
        return self.continuous and in_time and 2 * sequence < self.high

    def _reset(self, sequence: int, time_us: int, position: int) -> int:
        self.holes.abandon(position, self.log)
        self.restore(sequence, sequence, time_us, self.epoch + 1)
        return RESET

    def _advance(self, sequence: int, time_us: int, position: int) -> int:
        start = self.high + 1
        self.lead(sequence, time_us)
        if sequence == start:
            return OK
        self.holes.open(start, sequence - 1, position, self.log)
        return GAP


def are_resets(
    high: Int64s | np.int64, high_time_us: Int64s | np.int64, sequence: Int64s, time_us: Int64s
) -> Bools:
    """Case 3 for a column, in a continuous scope; exact over the whole of int64."""
    resets: Bools = sequence < (high >> 1) + (high & 1)
    if resets.any():
        # As unsigned numbers the difference of two times cannot overflow.
        elapsed = (time_us - high_time_us).view(np.uint64)
        resets &= (time_us > high_time_us) & (elapsed >= np.uint64(RESET_AFTER_US))
    return resets


def are_successors(high: Int64s, sequence: Int64s) -> Bools:
    """Whether each number is one above; exact over the whole of int64."""
    successors: Bools = (sequence > high) & (sequence - high == 1)
    return successors
