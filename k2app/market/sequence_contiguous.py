"""The contiguous rule on a whole batch: regular keys in numpy, odd ones run by run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from k2app.market.sequence_cases import Key, are_resets, are_successors
from k2app.market.sequence_events import EventLog
from k2app.market.sequence_flags import FIRST, Bools, Int64s
from k2app.market.sequence_groups import Groups
from k2app.market.sequence_holes import Holes
from k2app.market.sequence_rules import Rule
from k2app.market.sequence_runs import Rows, judge_run
from k2app.market.sequence_states import Ranges
from k2app.market.sequence_verdicts import Heads, Verdicts, all_ok

HolesOf = Callable[[int], tuple[Ranges, Ranges]]
"""Open gaps and uncertain ranges of a group."""


def judge_contiguous(
    groups: Groups, prior: Heads, holes_of: HolesOf, rule: Rule, max_open_gaps: int, log: EventLog
) -> Verdicts:
    """Judge a batch; see `sequence_cases` for the table.

    A key is regular if its records go on from its state, or begin it, 1 by 1. The others are judged run
    by run; the work in Python is in the number of runs of odd keys.
    """
    breaks = _run_starts(groups, rule)
    runs = np.add.reduceat(breaks, groups.starts, dtype=np.int64)
    regular = (runs == 1) & _starts_regular(groups, prior, rule)
    verdicts = all_ok(groups, prior)
    verdicts.flags[groups.starts[~prior.known]] = FIRST
    odd = np.flatnonzero(~regular)
    if len(odd):
        _judge_odd(groups, prior, holes_of, rule, max_open_gaps, log, verdicts, odd, breaks, runs)
    return verdicts


def _run_starts(groups: Groups, rule: Rule) -> Bools:
    """bool[m]: where a run of numbers that count 1 by 1 begins."""
    sequence, time_us = groups.sequence, groups.timestamp_us
    breaks = np.ones(len(sequence), np.bool_)
    breaks[1:] = ~are_successors(sequence[:-1], sequence[1:])
    if rule.scope == "continuous":
        # Below -2 even the next number is less than half; an hour later it is a reset.
        breaks[1:] |= are_resets(sequence[:-1], time_us[:-1], sequence[1:], time_us[1:])
    breaks[groups.starts] = True
    return breaks


def _starts_regular(groups: Groups, prior: Heads, rule: Rule) -> Bools:
    """bool[g]: whether the group's first record goes on from its state, or begins it without a gap."""
    sequence, time_us = groups.sequence[groups.starts], groups.timestamp_us[groups.starts]
    goes_on = are_successors(prior.high, sequence)
    if rule.scope == "continuous":
        goes_on &= ~are_resets(prior.high, prior.high_time_us, sequence, time_us)
    begins = np.True_ if rule.first is None else sequence <= rule.first
    regular: Bools = np.where(prior.known, goes_on, begins)
    return regular


def _judge_odd(
    groups: Groups,
    prior: Heads,
    holes_of: HolesOf,
    rule: Rule,
    max_open_gaps: int,
    log: EventLog,
    verdicts: Verdicts,
    odd: Int64s,
    breaks: Bools,
    runs: Int64s,
) -> None:
    """Judge the odd groups; writes into the verdicts."""
    rows = Rows(groups.sequence, groups.timestamp_us, verdicts.flags, verdicts.epochs)
    positions = np.flatnonzero(breaks)
    first_runs = np.cumsum(runs) - runs
    for place in odd.tolist():
        key = Key(rule, Holes(*holes_of(place), max_open_gaps), log)
        if prior.known[place]:
            key.restore(*_head(prior, place))
        group_end = int(groups.starts[place] + groups.sizes[place])
        starts = positions[first_runs[place] : first_runs[place] + runs[place]].tolist()
        for start, end in zip(starts, [*starts[1:], group_end], strict=True):
            judge_run(key, rows, start, end, group_end)
        _store(key, place, verdicts)


def _head(prior: Heads, place: int) -> tuple[int, int, int, int]:
    return (
        int(prior.low[place]),
        int(prior.high[place]),
        int(prior.high_time_us[place]),
        int(prior.epoch[place]),
    )


def _store(key: Key, place: int, verdicts: Verdicts) -> None:
    heads = verdicts.heads
    heads.low[place], heads.high[place], heads.epoch[place] = key.low, key.high, key.epoch
    heads.high_time_us[place] = key.high_time_us
    verdicts.gaps[place] = tuple(key.holes.gaps)
    verdicts.uncertain[place] = tuple(key.holes.uncertain)
