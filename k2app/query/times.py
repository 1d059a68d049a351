"""Time as text: ISO-8601 with a zone, or an integer epoch with its unit; inside, UTC microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MICROSECOND = timedelta(microseconds=1)

FIRST_US = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
"""Year 1: the earliest time that the text form can write."""

LAST_US = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
"""Year 9999: the latest."""

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds in each unit of an integer epoch."""

_EPOCH_TEXT = re.compile(r"([+-]?\d{1,20})(s|ms|us|ns)?", re.ASCII)

_ISO_LETTERS = re.compile(r"[0-9TZWtz:+., -]+")
"""What ISO-8601 is written with; `fromisoformat` stops at a NUL and takes what came before."""

_SHORT_FRACTION = 6
"""Digits after the second that a datetime holds; it cuts off what follows."""

TAKES = "takes ISO-8601 with a zone (2025-01-31T09:30:00Z) or an integer epoch with its unit (1738315800s, ms, us, ns)"


def parse_time(text: str, *, up: bool) -> int:
    """Turn text into UTC microseconds.

    Parameters
    ----------
    up
        Where nanoseconds are finer than a microsecond, take the next one instead of the one before. Rows are
        stamped in whole microseconds, so for both ends of `[start, end)` this changes no answer.

    Raises
    ------
    ValueError
        Says what was wrong and what is taken.
    """
    stripped = text.strip()
    epoch = _EPOCH_TEXT.fullmatch(stripped)
    nanoseconds = _epoch_to_nanoseconds(epoch) if epoch else _iso_to_nanoseconds(stripped)
    micros = -(-nanoseconds // 1_000) if up else nanoseconds // 1_000
    if not FIRST_US <= micros <= LAST_US:
        raise ValueError(f"{text!r} is outside the years 1 to 9999; {TAKES}")
    return micros


def micros_to_text(timestamp_us: int) -> str:
    """ISO-8601 in UTC with six digits after the second, such as `2025-01-31T09:30:00.000000Z`."""
    moment = EPOCH + timedelta(microseconds=timestamp_us)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _epoch_to_nanoseconds(match: re.Match[str]) -> int:
    number, unit = match.groups()
    if unit is None:
        raise ValueError(f"{match.string!r} has no unit; {TAKES}")
    return int(number) * _NANOSECONDS[unit]


def _iso_to_nanoseconds(text: str) -> int:
    fraction = re.search(r"[.,](\d+)", text)
    digits = fraction.group(1) if fraction else ""
    try:
        moment = datetime.fromisoformat(text if _ISO_LETTERS.fullmatch(text) else "")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time; {TAKES}{_plus_hint(text)}") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; {TAKES}")
    try:
        micros = (moment - EPOCH) // MICROSECOND
    except OverflowError as error:
        raise ValueError(f"{text!r} is outside the years 1 to 9999; {TAKES}") from error
    return micros * 1_000 + int(digits[_SHORT_FRACTION:][:3].ljust(3, "0"))


def _plus_hint(text: str) -> str:
    return "; a + in a URL is written %2B" if re.search(r"T.*\d \d\d:?\d\d$", text) else ""
