"""Spans of time as text, down to a microsecond."""

from __future__ import annotations

import re

MAX_DURATION_US = 3_700 * 86_400_000_000
"""Microseconds of the longest: ten years."""

TAKES = "takes a whole number and its unit: us, ms, s, m, h or d (500ms, 5s, 2h)"

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}

_TEXT = re.compile(r"(\d{1,18})(us|ms|s|m|h|d)", re.ASCII)


def parse_duration_us(text: str) -> int:
    """Read a duration such as `500ms` or `5s`; microseconds.

    Raises
    ------
    ValueError
        It is not one, or longer than ten years; says what is taken.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; {TAKES}")
    us = int(match[1]) * _UNITS_US[match[2]]
    if us > MAX_DURATION_US:
        raise ValueError(f"{text!r} is longer than ten years; {TAKES}")
    return us
