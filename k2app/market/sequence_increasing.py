"""The increasing rule on a whole batch: numbers grow but skip, so that nothing can be said to be missing.

Above high `ok`, equal `duplicate`, below `regressed`; the first of a scope `first`. There are no gaps and
no resets. Low is the lowest number seen.
"""

from __future__ import annotations

import numpy as np

from k2app.market.sequence_flags import DUPLICATE, FIRST, OK, REGRESSED
from k2app.market.sequence_groups import Groups
from k2app.market.sequence_verdicts import Heads, Verdicts, all_ok


def judge_increasing(groups: Groups, prior: Heads) -> Verdicts:
    """Judge a batch; the work in Python is in the number of keys that do not only grow."""
    verdicts = all_ok(groups, prior)
    grows = np.ones(len(groups.sequence), np.bool_)
    grows[1:] = groups.sequence[1:] > groups.sequence[:-1]
    grows[groups.starts] = ~prior.known | (groups.sequence[groups.starts] > prior.high)
    for place in np.flatnonzero(~np.logical_and.reduceat(grows, groups.starts)).tolist():
        _judge_odd(groups, prior, place, verdicts)
    verdicts.flags[groups.starts[~prior.known]] = FIRST
    return verdicts


def _judge_odd(groups: Groups, prior: Heads, place: int, verdicts: Verdicts) -> None:
    """Judge one group against the running maximum."""
    start = int(groups.starts[place])
    span = slice(start, start + int(groups.sizes[place]))
    sequence, heads = groups.sequence[span], verdicts.heads
    known = bool(prior.known[place])
    highs = np.maximum.accumulate(np.append(prior.high[place] if known else sequence[0], sequence))
    above = sequence > highs[:-1]
    verdicts.flags[span] = np.where(above, OK, np.where(sequence == highs[:-1], DUPLICATE, REGRESSED))
    leaders = np.flatnonzero(above)
    heads.high[place] = highs[-1]
    heads.low[place] = min(int(heads.low[place]), int(sequence.min()))
    if len(leaders):
        heads.high_time_us[place] = groups.timestamp_us[start + leaders[-1]]
    else:
        heads.high_time_us[place] = prior.high_time_us[place] if known else groups.timestamp_us[start]
