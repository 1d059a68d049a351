"""When rows are due. Pure: it is told the time, and never asks for it."""

from __future__ import annotations

import math

import numpy as np

from k2app.query.reading.ordering import Ints

BURST_S = 0.1
"""Seconds of a rate that may come at once: sleeps end late by some milliseconds, and what they missed is made up."""


class Pace:
    """Lets rows through at their own distances in time, divided by `speed`, and at most `rate` a second.

    The first row is due at once; every other one is due as long after it as it happened after it, by the clock and not
    by the row before it, so that delays do not add up.

    Parameters
    ----------
    speed
        Event seconds per second; infinity: no distances are kept.
    rate
        Rows a second; None: any number.
    """

    def __init__(self, speed: float, rate: float | None) -> None:
        self._speed = speed
        self._rate = rate
        self._first: tuple[float, int] | None = None
        self._tokens = 0.0
        self._filled_s = 0.0

    def due(self, times_us: Ints, now_s: float) -> int:
        """How many of the next rows are due by now, in order; they count as let through.

        Parameters
        ----------
        times_us
            Event times of the rows that were not let through yet, ascending.
        now_s
            A monotonic clock.
        """
        if not len(times_us):
            return 0
        if self._first is None:
            self._first = (now_s, int(times_us[0]))
            self._tokens, self._filled_s = 1.0, now_s
        rows = len(times_us) if math.isinf(self._speed) else self._happened(times_us, now_s)
        return rows if self._rate is None else self._spend(rows, now_s, self._rate)

    def wait_s(self, time_us: int, now_s: float) -> float:
        """Seconds until the next row, which has this time, is due; 0: it is."""
        if self._first is None:
            return 0.0
        begun_s, first_us = self._first
        waits = [0.0]
        if math.isfinite(self._speed):
            waits.append(begun_s + (time_us - first_us) / 1e6 / self._speed - now_s)
        if self._rate is not None:
            waits.append((1.0 - self._tokens) / self._rate - (now_s - self._filled_s))
        return max(waits)

    def _happened(self, times_us: Ints, now_s: float) -> int:
        begun_s, first_us = self._first or (now_s, 0)
        until_us = first_us + math.floor((now_s - begun_s) * self._speed * 1e6 + _HALF_US)
        return int(np.searchsorted(times_us, min(until_us, _LAST), side="right"))

    def _spend(self, rows: int, now_s: float, rate: float) -> int:
        filled = self._tokens + (now_s - self._filled_s) * rate
        self._tokens, self._filled_s = min(filled, max(1.0, rate * BURST_S)), now_s
        taken = min(rows, math.floor(self._tokens + _ROUNDING))
        self._tokens -= taken
        return taken


_HALF_US = 0.5
"""Makes up for what is lost when seconds are binary fractions."""

_ROUNDING = 1e-9

_LAST = np.iinfo(np.int64).max
