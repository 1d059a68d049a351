"""When intervals start: on the UTC clock, or counted from the session of an exchange.

A clock is plain numbers, so that the same rule can be computed on columns here and in SQL elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from k2app.market.exchanges import Exchange
from k2app.market.intervals import DISTANT_US, Interval
from k2app.market.sessions import DAY_US, MINUTE_US, Int64s, local_to_utc_us, trading_dates, utc_offsets

DISTANT_DAYS = DISTANT_US // DAY_US + 1
"""Days: a day number plus these is never negative."""

HALF_DAY_US = DAY_US // 2
"""Microseconds: no clock is set forward by more."""

Steps = tuple[tuple[int, int], ...]
"""(from, value), ascending: the value holds from there to the next; the first one holds before it, too."""


@dataclass(frozen=True)
class UtcClock:
    """Intervals counted from 1970-01-01 00:00 UTC; weeks from a Monday."""

    interval: Interval

    def floor(self, timestamp_us: Int64s) -> Int64s:
        """Start of the interval that each time lies in."""
        origin, length = self.interval.origin_us, self.interval.us
        return (timestamp_us - origin) // length * length + origin

    def starts(self, first_us: int, end_us: int) -> Int64s:
        """Start of every interval from the one of `first_us` on, before `end_us`; ascending."""
        begin = int(self.floor(np.array([first_us], np.int64))[0])
        return np.arange(begin, end_us, self.interval.us, dtype=np.int64)


@dataclass(frozen=True)
class SessionClock:
    """Intervals counted from the start of each trading date, or of whole trading dates.

    A trading date lasts from its session's start to the next one's: 23 or 25 hours where clocks change. Intervals
    shorter than a day start again with it, so that its last one may be cut short.

    Parameters
    ----------
    interval
        Less than a day, or whole days.
    session_us
        Local time from the day's midnight to the session's start.
    evening_before
        Whether the session starts on the calendar day before its trading date: 1, else 0.
    offsets
        From a UTC time on, what local clocks are ahead.
    shifts
        From a trading date on (day number), microseconds from that day's UTC midnight to its session's start.
    """

    interval: Interval
    session_us: int
    evening_before: int
    offsets: Steps
    shifts: Steps

    def floor(self, timestamp_us: Int64s) -> Int64s:
        """Start of the interval that each time lies in."""
        local = timestamp_us + _at(self.offsets, timestamp_us) - self.session_us
        date = local // DAY_US + self.evening_before
        days = self.interval.days
        if days is not None:
            return self._session_starts(date - (date - self.interval.first_day) % days)
        start = self._session_starts(date)
        return start + (timestamp_us - start) // self.interval.us * self.interval.us

    def starts(self, first_us: int, end_us: int) -> Int64s:
        """Start of every interval from the one of `first_us` on, before `end_us`; ascending."""
        begin = int(self.floor(np.array([first_us], np.int64))[0])
        dates = np.arange(begin // DAY_US - 1, end_us // DAY_US + 3)
        days = self.interval.days
        if days is not None:
            found = self._session_starts(dates[(dates - self.interval.first_day) % days == 0])
        else:
            edges = self._session_starts(dates).tolist()
            found = np.concatenate([np.arange(a, b, self.interval.us) for a, b in pairwise(edges)])
        return found[(found >= begin) & (found < end_us)]

    def _session_starts(self, dates: Int64s) -> Int64s:
        return dates * DAY_US + _at(self.shifts, dates)


Clock = UtcClock | SessionClock


def session_clock(exchange: Exchange, interval: Interval, first_us: int, last_us: int) -> SessionClock:
    """The clock of an exchange for times in `[first_us, last_us]`.

    Notes
    -----
    Trading dates are those of `sessions.trading_dates`. Where a session starts within an hour that comes twice, its
    second part still belongs to the date before, whose last intervals then overlap the first ones of the next.
    """
    margin = (interval.days or 0) + 2
    days = np.arange(first_us // DAY_US - margin, last_us // DAY_US + margin + 1)
    session_us = exchange.session_start_minutes * MINUTE_US
    evening = int(exchange.session_starts_the_evening_before)
    starts = session_starts(exchange, days)
    offsets = utc_offsets(exchange.time_zone, days)
    return SessionClock(interval, session_us, evening, offsets, _steps(days, starts - days * DAY_US))


def session_starts(exchange: Exchange, dates: Int64s) -> Int64s:
    """First instant of each trading date (day numbers), UTC microseconds."""
    evening = int(exchange.session_starts_the_evening_before)
    local = (dates - evening) * DAY_US + exchange.session_start_minutes * MINUTE_US
    times = local_to_utc_us(exchange.time_zone, local)
    starts = times.utc_us.copy()
    for row in np.flatnonzero(times.nonexistent).tolist():
        starts[row] = _first_of(exchange, int(dates[row]), int(starts[row]))
    return starts


def _first_of(exchange: Exchange, date: int, until_us: int) -> int:
    """The instant at which clocks went forward past a session's start."""
    before, first = until_us - HALF_DAY_US, until_us
    while first - before > 1:
        middle = (before + first) // 2
        if int(trading_dates(exchange, np.array([middle], np.int64))[0]) >= date:
            first = middle
        else:
            before = middle
    return first


def _steps(keys: Int64s, values: Int64s) -> Steps:
    changes = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    return tuple(zip(keys[changes].tolist(), values[changes].tolist(), strict=True))


def _at(steps: Steps, keys: Int64s) -> Int64s:
    froms, values = (np.array(column, np.int64) for column in zip(*steps, strict=True))
    return values[np.maximum(np.searchsorted(froms, keys, side="right") - 1, 0)]
