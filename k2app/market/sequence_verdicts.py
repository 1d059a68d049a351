"""What the judges of a rule are given, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from k2app.market.sequence_flags import OK, Bools, Int8s, Int32s, Int64s
from k2app.market.sequence_groups import Groups
from k2app.market.sequence_states import Ranges, States


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """The states of g groups, gaps aside; of a group that is not known the numbers mean nothing.

    Attributes
    ----------
    known
        bool[g]; whether there is a state.
    low, high, high_time_us, epoch
        int64[g] thrice, int32[g]; see `State`.
    """

    known: Bools
    low: Int64s
    high: Int64s
    high_time_us: Int64s
    epoch: Int32s

    def copy(self) -> Heads:
        """Heads to write into."""
        return Heads(
            self.known.copy(), self.low.copy(), self.high.copy(), self.high_time_us.copy(), self.epoch.copy()
        )


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What was decided; written into while a batch is judged.

    Attributes
    ----------
    flags, epochs
        int8[m], int32[m]: by position.
    heads
        The states of the groups after the batch.
    gaps, uncertain
        By group, only for those whose may have changed; no ranges means that there are none any more.
    """

    flags: Int8s
    epochs: Int32s
    heads: Heads
    gaps: dict[int, Ranges] = field(default_factory=dict)
    uncertain: dict[int, Ranges] = field(default_factory=dict)


def heads_of(states: States, index: Int64s, known: Bools) -> Heads:
    """The heads of the states with these indices."""
    return Heads(
        known, states.low[index], states.high[index], states.high_time_us[index], states.epoch[index]
    )


def all_ok(groups: Groups, prior: Heads) -> Verdicts:
    """Verdicts to start from: every record is in order and raises high."""
    heads = prior.copy()
    heads.low[:] = np.where(prior.known, prior.low, groups.sequence[groups.starts])
    heads.high[:] = groups.sequence[groups.lasts]
    heads.high_time_us[:] = groups.timestamp_us[groups.lasts]
    flags = np.full(len(groups.order), OK, np.int8)
    return Verdicts(flags, np.repeat(prior.epoch, groups.sizes), heads)


def states_after(states: States, index: Int64s, groups: Groups, verdicts: Verdicts) -> States:
    """Put the verdicts into the states, in place.

    Parameters
    ----------
    states
        A copy nobody else holds.
    index
        int64[g]: index of each group's state; distinct.
    """
    heads = verdicts.heads
    states.low[index], states.high[index], states.epoch[index] = heads.low, heads.high, heads.epoch
    states.high_time_us[index] = heads.high_time_us
    kinds = states.counts.shape[1]
    codes = np.repeat(np.arange(len(index)) * kinds, groups.sizes) + verdicts.flags
    states.counts[index] += np.bincount(codes, minlength=len(index) * kinds).reshape(-1, kinds)
    gaps, uncertain = dict(states.gaps), dict(states.uncertain)
    _put(gaps, index, verdicts.gaps)
    _put(uncertain, index, verdicts.uncertain)
    return States(
        states.keys,
        states.low,
        states.high,
        states.high_time_us,
        states.epoch,
        states.counts,
        gaps,
        uncertain,
    )


def _put(by_state: dict[int, Ranges], index: Int64s, by_group: Mapping[int, Ranges]) -> None:
    for place, ranges in by_group.items():
        by_state.pop(int(index[place]), None)
        if ranges:
            by_state[int(index[place])] = ranges
