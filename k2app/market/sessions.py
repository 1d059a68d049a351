"""Local time and trading dates, a column at a time, exact across daylight saving.

An offset from UTC is asked of `zoneinfo` only at the two ends of the days that occur; where they differ,
the second of the change is found by bisection. (No zone of tzdata changed twice within one UTC day since
1970, so the two ends tell.) Everything else is integer arithmetic on columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from k2app.market.exchanges import Exchange

Int64s = npt.NDArray[np.int64]

SECOND_US = 1_000_000
"""Microseconds."""

DAY_S = 86_400
"""Seconds in a UTC day."""

DAY_US = DAY_S * SECOND_US
"""Microseconds in a UTC day."""

MINUTE_US = 60 * SECOND_US
"""Microseconds."""

FIRST_DAY, LAST_DAY = -719_160, 2_932_894
"""Days that datetime can hold, less two at either end so that no offset leaves it; days beyond take the
offset of the nearest one."""

DENSE_DAYS = 1 << 16
"""Span of days up to which a table of what occurs is cheaper than sorting the column."""


class LocalTimes(NamedTuple):
    """What local times mean.

    Attributes
    ----------
    utc_us
        int64[n], microseconds since 1970-01-01 UTC. Of an ambiguous time its first occurrence; of a
        nonexistent one what it would be if the clocks had not moved.
    ambiguous
        bool[n]; the clocks went back and the time came twice.
    nonexistent
        bool[n]; the clocks went forward past it: an error of that row.
    """

    utc_us: Int64s
    ambiguous: npt.NDArray[np.bool_]
    nonexistent: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Offsets:
    """From `starts_us[k]` (UTC, ascending) to the next one, local time is UTC + `offsets_us[k]`."""

    starts_us: Int64s
    offsets_us: Int64s


def trading_dates(exchange: Exchange, timestamp_us: Int64s) -> npt.NDArray[np.int32]:
    """Trading date of each UTC time.

    With a session that starts at or before 12:00, local times from it on belong to the day on which they
    fall, earlier ones to the day before. With a later one, local times from it on belong to the next
    calendar day. No holidays are known here: a Friday evening of a futures exchange belongs to Saturday.

    Parameters
    ----------
    timestamp_us
        int64[n], microseconds since 1970-01-01 UTC.

    Returns
    -------
    int32[n]
        Days since 1970-01-01.
    """
    day, within_day = np.divmod(timestamp_us, DAY_US)
    offset = _offset_at(_offsets(ZoneInfo(exchange.time_zone), _distinct(day)), timestamp_us)
    # Day and time of day stay apart, so that no int64 time overflows.
    shift = (within_day + offset - exchange.session_start_minutes * MINUTE_US) // DAY_US
    dates: npt.NDArray[np.int32] = (day + shift + int(exchange.session_starts_the_evening_before)).astype(
        np.int32
    )
    return dates


def local_to_utc_us(time_zone: str, local_us: Int64s) -> LocalTimes:
    """Turn local wall-clock times into UTC.

    Parameters
    ----------
    time_zone
        IANA name.
    local_us
        int64[n], microseconds since 1970-01-01 00:00 on the local clock.
    """
    days = _distinct(local_us // DAY_US)
    nearby = np.unique(np.concatenate([days - 1, days, days + 1]))
    offsets = _offsets(ZoneInfo(time_zone), nearby)
    changes, before, after = offsets.starts_us[1:], offsets.offsets_us[:-1], offsets.offsets_us[1:]
    # Up to the change on the old clock, the old offset holds: that is the first occurrence.
    span = np.searchsorted(changes + before, local_us, side="right")
    if not len(changes):
        nothing = np.zeros(len(local_us), np.bool_)
        return LocalTimes(local_us - offsets.offsets_us[span], nothing, nothing.copy())
    last, coming = np.maximum(span - 1, 0), np.minimum(span, len(changes) - 1)
    nonexistent = (span > 0) & (local_us < (changes + after)[last])
    ambiguous = (span < len(changes)) & (local_us >= (changes + after)[coming])
    offset = np.where(nonexistent, before[last], offsets.offsets_us[span])
    return LocalTimes(local_us - offset, ambiguous, nonexistent)


def utc_offsets(time_zone: str, days: Int64s) -> tuple[tuple[int, int], ...]:
    """What a zone's clocks are ahead of UTC.

    Parameters
    ----------
    days
        Consecutive UTC days since 1970-01-01, ascending, of the times that matter.

    Returns
    -------
    pairs of UTC microseconds and offset
        Ascending; an offset holds from its time to the next one's, the first one before it, too.
    """
    offsets = _offsets(ZoneInfo(time_zone), days)
    return tuple(zip(offsets.starts_us.tolist(), offsets.offsets_us.tolist(), strict=True))


def _distinct(days: Int64s) -> Int64s:
    """Distinct values, ascending."""
    if not len(days):
        return days
    low, high = int(days.min()), int(days.max())
    if high - low >= DENSE_DAYS:
        return np.unique(days)
    return np.flatnonzero(np.bincount(days - low)) + low


def _offset_at(offsets: _Offsets, timestamp_us: Int64s) -> Int64s | np.int64:
    if len(offsets.starts_us) == 1:
        return np.int64(offsets.offsets_us[0])
    return offsets.offsets_us[np.searchsorted(offsets.starts_us, timestamp_us, side="right") - 1]


def _offsets(zone: ZoneInfo, days: Int64s) -> _Offsets:
    """The offsets in force on these UTC days (ascending); between days not listed it says nothing."""
    spans: list[tuple[int, int]] = [(FIRST_DAY * DAY_S, 0)]
    for day in np.clip(days, FIRST_DAY, LAST_DAY).tolist():
        start, end = day * DAY_S, (day + 1) * DAY_S
        old, new = _utc_offset_s(zone, start), _utc_offset_s(zone, end)
        spans.append((start, old))
        if old != new:
            spans.append((_change_s(zone, start, end), new))
    return _simplified(spans[1:] or spans)


def _simplified(spans: list[tuple[int, int]]) -> _Offsets:
    """Spans without those that change nothing; the first one reaches back for ever."""
    starts, offsets = (np.array(column, np.int64) * SECOND_US for column in zip(*spans, strict=True))
    changes = np.flatnonzero(np.diff(offsets, prepend=offsets[0] + 1))
    starts[0] = np.iinfo(np.int64).min
    return _Offsets(starts[changes], offsets[changes])


def _change_s(zone: ZoneInfo, start: int, end: int) -> int:
    """First second within (start, end] that has the offset of `end`."""
    old = _utc_offset_s(zone, start)
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (middle, end) if _utc_offset_s(zone, middle) == old else (start, middle)
    return end


def _utc_offset_s(zone: ZoneInfo, utc_s: int) -> int:
    """Seconds that the zone's clocks are ahead of UTC at an instant."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=utc_s)
    offset = moment.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
