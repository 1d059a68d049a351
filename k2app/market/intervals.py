"""Lengths of bars, as text and as microseconds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from k2app.market.sessions import DAY_US, MINUTE_US, SECOND_US

HOUR_US = 60 * MINUTE_US
"""Microseconds."""

WEEK_DAYS = 7

MONDAY = 4
"""Day number (1970-01-01 is 0) of a Monday: weeks are counted from it."""

MAX_DAYS = 3_700
"""Days of the longest interval: ten years."""

DISTANT_US = 63_000_000_000_000_000
"""Microseconds from the year 1 to 1970, and some more: times counted from so long ago are never negative."""

TAKES = f"takes a whole number and its unit, 1s to {MAX_DAYS}d: s, m, h, d, w (30s, 5m, 90m, 1h, 1d, 1w)"

_UNITS_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": WEEK_DAYS * DAY_US}

_TEXT = re.compile(r"([1-9]\d{0,9})([smhdw])", re.ASCII)


@dataclass(frozen=True)
class Interval:
    """A length of time.

    Parameters
    ----------
    us
        Microseconds; at least a second.
    in_weeks
        Said in weeks: it starts on a Monday. (`7d` starts every seven days from 1970-01-01, a Thursday.)
    """

    us: int
    in_weeks: bool = False

    @property
    def origin_us(self) -> int:
        """A start of it so long ago that no time lies before, UTC."""
        monday_us = MONDAY * DAY_US if self.in_weeks else 0
        return monday_us - (DISTANT_US // self.us + 2) * self.us

    @property
    def days(self) -> int | None:
        """How many days, where it is whole days."""
        return self.us // DAY_US if self.us % DAY_US == 0 else None

    @property
    def first_day(self) -> int:
        """Day number that intervals of whole days are counted from."""
        return MONDAY if self.in_weeks else 0


def parse_interval(text: str) -> Interval:
    """Read an interval such as `1s`, `90m`, `3d` or `1w`.

    Raises
    ------
    ValueError
        It is not one; says what is taken.
    """
    match = _TEXT.fullmatch(text)
    us = 0 if match is None else int(match[1]) * _UNITS_US[match[2]]
    if not 0 < us <= MAX_DAYS * DAY_US:
        raise ValueError(f"{text!r} is not an interval; {TAKES}")
    return Interval(us, in_weeks=text.endswith("w"))
