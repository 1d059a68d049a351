"""Runs of records whose numbers count 1 by 1, judged as one where their first one allows it.

So the work on an odd key grows with what is odd about it, not with its records: a gap in a million records
is two runs, and a file that comes a second time is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from k2app.market.sequence_cases import LEADING, Key, are_resets
from k2app.market.sequence_flags import DUPLICATE, LATE, REGRESSED, RESET, Int8s, Int32s, Int64s

BULK_ROWS = 16
"""Records; fewer are judged faster one by one than as arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Columns by position; `flags` hold `ok` where nothing was written yet, `epochs` the one before."""

    sequence: Int64s
    timestamp_us: Int64s
    flags: Int8s
    epochs: Int32s


def judge_run(key: Key, rows: Rows, start: int, end: int, group_end: int) -> None:
    """Judge the records of one key from `start` to `end`, whose numbers count 1 by 1.

    If one of them sets high, all after it are `ok`: between two of them there is no reset (that splits a
    run).

    Parameters
    ----------
    group_end
        Where the key's records end; a reset sets the epoch up to there.
    """
    position = start
    while position < end:
        filled = _fill_run(key, rows, position, end)
        if filled:
            position += filled
            continue
        flag = key.judge(int(rows.sequence[position]), int(rows.timestamp_us[position]), position)
        rows.flags[position] = flag
        if flag == RESET:
            rows.epochs[position:group_end] = key.epoch
        if flag in LEADING:
            key.lead(int(rows.sequence[end - 1]), int(rows.timestamp_us[end - 1]))
            return
        position += 1
        position += _received_run(key, rows, position, end)


def _fill_run(key: Key, rows: Rows, position: int, end: int) -> int:
    """Judge as `late` the records that fill a gap from its start on; how many."""
    if end - position < BULK_ROWS or not len(key.holes.gaps):
        return 0
    number = int(rows.sequence[position])
    count = _before_reset(key, rows, position, min(end - position, key.holes.missing_run(number)))
    if count:
        key.holes.fill_run(number, count, position, key.log)
        rows.flags[position : position + count] = LATE
    return count


def _received_run(key: Key, rows: Rows, position: int, end: int) -> int:
    """Judge records, not below low, whose numbers are neither missing nor uncertain; how many."""
    if end - position < BULK_ROWS:
        return 0
    number = int(rows.sequence[position])
    most = min(end - position, key.high - number + 1)
    count = _before_reset(key, rows, position, key.holes.received_run(number, most))
    if count:
        span = slice(position, position + count)
        later = (rows.timestamp_us[span] > key.high_time_us) & (rows.sequence[span] < key.high)
        rows.flags[span] = np.where(later, REGRESSED, DUPLICATE)
    return count


def _before_reset(key: Key, rows: Rows, position: int, count: int) -> int:
    """How many of the next records are before a reset; 0 if they are too few to judge as one."""
    if count < BULK_ROWS or not key.continuous:
        return count if count >= BULK_ROWS else 0
    span = slice(position, position + count)
    high, high_time_us = np.int64(key.high), np.int64(key.high_time_us)
    resets = are_resets(high, high_time_us, rows.sequence[span], rows.timestamp_us[span])
    return int(resets.argmax()) if resets.any() else count
