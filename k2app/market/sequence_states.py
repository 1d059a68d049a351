"""Sequence states of one (topic, partition), as columns.

A state says what was seen of one (symbol, scope). The store is immutable by convention: whoever changes
something makes a new one, which shares what did not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from k2app.market.sequence_digest import digest
from k2app.market.sequence_flags import FLAGS, Int32s, Int64s
from k2app.market.sequence_keys import Keys, keys_from_texts, no_keys
from k2app.market.sequence_ranges import Range
from k2app.market.sequence_rules import CONTINUOUS_SCOPE

Ranges = tuple[Range, ...]
"""Ascending, disjoint."""


@dataclass(frozen=True, slots=True)
class State:
    """One state, for people and tests.

    Attributes
    ----------
    low, high
        The numbers from low to high are accounted for: received, in an open gap or uncertain. High was
        received; low too, unless the scope's known first number is in an open gap.
    high_time_us
        Event time of the record that set high; microseconds since 1970-01-01 UTC.
    epoch
        Resets seen.
    counts
        Records by flag, those that had any.
    gaps, uncertain
        Inclusive ranges. An open gap may enclose uncertain ones: those numbers are not missing.
    """

    low: int
    high: int
    high_time_us: int
    epoch: int
    counts: Mapping[str, int]
    gaps: Ranges = ()
    uncertain: Ranges = ()


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """The states of one (topic, partition); a state's index is that of its key.

    Attributes
    ----------
    keys
        Key by index.
    low, high, high_time_us, epoch, counts
        int64[n] thrice, int32[n], int64[n, flags]; see `State`.
    gaps, uncertain
        By index, only for those that have any.
    """

    keys: Keys
    low: Int64s
    high: Int64s
    high_time_us: Int64s
    epoch: Int32s
    counts: Int64s
    gaps: Mapping[int, Ranges] = field(default_factory=dict)
    uncertain: Mapping[int, Ranges] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> States:
        """Nothing was seen yet."""
        return _blank(no_keys())

    @classmethod
    def from_primitives(cls, primitives: Mapping[str, Sequence[Any]]) -> States:
        """States from what `to_primitives` gave."""
        states = _blank(keys_from_texts(list(primitives)))
        gaps, uncertain = {}, {}
        for index, value in enumerate(primitives.values()):
            low, high, high_time_us, epoch, counts, open_gaps, unknown = value
            states.low[index], states.high[index], states.high_time_us[index] = low, high, high_time_us
            states.epoch[index], states.counts[index] = epoch, counts
            gaps[index] = tuple((start, end) for start, end in open_gaps)
            uncertain[index] = tuple((start, end) for start, end in unknown)
        return replace(states, gaps=_not_empty(gaps), uncertain=_not_empty(uncertain))

    def __len__(self) -> int:
        return len(self.keys)

    def get(self, symbol: str, scope: int) -> State | None:
        """The state of one key, or None."""
        index = int(self.keys.find(pa.array([symbol], pa.string()), np.array([scope], np.int32))[0])
        if index < 0:
            return None
        counts = self.counts[index].tolist()
        return State(
            int(self.low[index]),
            int(self.high[index]),
            int(self.high_time_us[index]),
            int(self.epoch[index]),
            {flag: count for flag, count in zip(FLAGS, counts, strict=True) if count},
            self.gaps.get(index, ()),
            self.uncertain.get(index, ()),
        )

    def to_primitives(self, indices: Int64s | None = None) -> dict[str, list[Any]]:
        """States as what JSON can hold, by the text of their keys; of these indices, or all.

        A value is [low, high, high_time_us, epoch, counts by flag code, open gaps, uncertain ranges].
        """
        chosen = np.arange(len(self)) if indices is None else indices
        columns = (self.low, self.high, self.high_time_us, self.epoch, self.counts)
        rows = zip(chosen.tolist(), *(column[chosen].tolist() for column in columns), strict=True)
        return {
            self.keys.text(index): [*row, self._ranges(self.gaps, index), self._ranges(self.uncertain, index)]
            for index, *row in rows
        }

    def digest(self) -> str:
        """What these states are, in short: equal for equal states, whatever their order or process.

        It tells a stale cache from a good one; it is no protection against forgery.
        """
        return digest(
            self.keys.hashes,
            (self.keys.scopes, self.low, self.high, self.high_time_us, self.epoch, *self.counts.T),
            (self.gaps, self.uncertain),
        )

    def evict(self, scope_before: int) -> States:
        """Without the trading dates (days since 1970-01-01) before this one; the continuous scope stays."""
        scopes = self.keys.scopes
        return self.take(np.flatnonzero((scopes >= scope_before) | (scopes == CONTINUOUS_SCOPE)))

    def take(self, indices: Int64s) -> States:
        """Only these states, in this order."""
        moved = {old: new for new, old in enumerate(indices.tolist())}
        return States(
            self.keys.take(indices),
            self.low[indices],
            self.high[indices],
            self.high_time_us[indices],
            self.epoch[indices],
            self.counts[indices],
            {moved[index]: ranges for index, ranges in self.gaps.items() if index in moved},
            {moved[index]: ranges for index, ranges in self.uncertain.items() if index in moved},
        )

    def grown_to(self, keys: Keys) -> States:
        """A copy to write into, with blank states for the keys that `keys` has beyond these."""
        grown = _blank(keys)
        size = len(self)
        grown.low[:size], grown.high[:size], grown.high_time_us[:size] = (
            self.low,
            self.high,
            self.high_time_us,
        )
        grown.epoch[:size], grown.counts[:size] = self.epoch, self.counts
        return replace(grown, gaps=dict(self.gaps), uncertain=dict(self.uncertain))

    def _ranges(self, ranges: Mapping[int, Ranges], index: int) -> list[list[int]]:
        return [list(pair) for pair in ranges.get(index, ())]


def _blank(keys: Keys) -> States:
    size = len(keys)
    low, high, high_time_us = np.zeros((3, size), np.int64)
    return States(
        keys, low, high, high_time_us, np.zeros(size, np.int32), np.zeros((size, len(FLAGS)), np.int64)
    )


def _not_empty(ranges: Mapping[int, Ranges]) -> dict[int, Ranges]:
    return {index: pairs for index, pairs in ranges.items() if pairs}
