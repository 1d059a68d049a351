"""Dates and times in columns of text by a pattern of fixed width, exact and a column at a time.

`%m %d %H %M %S` are two digits each, `%Y` four, `%f` one to six digits of a second at the end.
Everything else stands for itself. A cell of another width or with other characters is not read: of `1/2/2014`
nobody knows whether it is January or February, and who pads it has looked.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]

WIDTHS: Final = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
"""Digits of each part but the fraction."""

FRACTION_DIGITS: Final = 6
"""Digits of a second that a microsecond holds."""

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US

_WORDS: Final = {"Y": "YYYY", "m": "MM", "d": "DD", "H": "hh", "M": "mm", "S": "ss", "f": "ffffff"}


class Moments(NamedTuple):
    """Cells as numbers; of a cell that is not `ok`, any number.

    Attributes
    ----------
    us
        int64[n], microseconds since 1970-01-01 00:00 on the clock the cells were written by.
    ok
        bool[n]
    """

    us: Int64s
    ok: Mask


def check_pattern(pattern: str, allowed: str, needed: str) -> str:
    """Return the pattern if it is one.

    Raises
    ------
    ValueError
        A part is unknown, missing or stands twice, or %f is not last.
    """
    parts = re.findall("%(.?)", pattern)
    takes = " ".join(f"%{part}" for part in allowed)
    if any(part not in allowed or not part for part in parts):
        raise ValueError(
            f"takes 'iso', 'epoch' or a pattern of {takes}" if "H" in allowed else f"takes {takes}"
        )
    if len(set(parts)) < len(parts) or not set(needed) <= set(parts):
        raise ValueError(f"needs each of {' '.join(f'%{part}' for part in needed)} once, and no part twice")
    if "f" in parts and not pattern.endswith("%f"):
        raise ValueError("%f must stand at the end")
    return pattern


def in_words(pattern: str) -> str:
    """A pattern as a person writes it: `MM/DD/YYYY hh:mm:ss.ffffff`."""
    return re.sub("%(.)", lambda part: _WORDS[part[1]], pattern)


def read(pattern: str, data: Octets, offsets: Int64s) -> Moments:
    """Read cells by a pattern.

    Parameters
    ----------
    data
        uint8, the cells' UTF-8 one after the other.
    offsets
        int64[n + 1], where each starts; a null cell has no bytes.
    """
    lengths = np.diff(offsets)
    moments = Moments(np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.bool_))
    for digits in range(1, FRACTION_DIGITS + 1) if pattern.endswith("%f") else (0,):
        layout = _layout(pattern, digits)
        rows = np.flatnonzero(lengths == len(layout))
        if len(rows):
            cells = _cells(data, offsets[rows], len(layout))
            moments.us[rows], moments.ok[rows] = _moments(cells, layout)
    return moments


def _layout(pattern: str, digits: int) -> str:
    """The pattern with a letter per digit; what stands for itself is moved beyond the letters of parts."""
    widths = WIDTHS | {"f": digits}
    pieces = re.findall("%.|[^%]", pattern)
    return "".join(p[1] * widths[p[1]] if len(p) > 1 else chr(ord(p) + _LITERAL) for p in pieces)


_LITERAL: Final = 0x1000
"""Added to what stands for itself, to tell it from the letters of parts."""


def _cells(data: Octets, starts: Int64s, width: int) -> Octets:
    """The cells as a matrix uint8[n, width]; without a copy where they stand one after the other."""
    end = int(starts[-1]) + width
    if end - int(starts[0]) == len(starts) * width:
        return data[int(starts[0]) : end].reshape(-1, width)
    gathered: Octets = data[starts[:, None] + np.arange(width)]
    return gathered


def _moments(cells: Octets, layout: str) -> Moments:
    ok = np.ones(len(cells), np.bool_)
    parts: dict[str, Int64s] = {}
    for place, letter in enumerate(layout):
        if ord(letter) >= _LITERAL:
            ok &= cells[:, place] == ord(letter) - _LITERAL
            continue
        digit = cells[:, place] - np.uint8(ord("0"))
        ok &= digit <= 9  # noqa: PLR2004 - the largest digit
        parts[letter] = parts.get(letter, np.int64(0)) * np.int64(10) + digit.astype(np.int64)
    days, valid = _days(parts, ok)
    fraction = parts.get("f", np.int64(0)) * np.int64(10 ** (FRACTION_DIGITS - layout.count("f")))
    seconds, in_day = _seconds(parts)
    return Moments(days * DAY_US + seconds * SECOND_US + fraction, ok & valid & in_day)


def _days(parts: dict[str, Int64s], ok: Mask) -> tuple[Int64s, Mask]:
    """Days since 1970-01-01, and where the date exists."""
    year, month, day = (np.where(ok, parts[part], 1) for part in "Ymd")
    months = (year - 1970) * 12 + month - 1
    first, after = _first_day(months), _first_day(months + 1)
    exists = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= after - first)  # noqa: PLR2004
    return first + day - 1, exists


def _first_day(months: Any) -> Int64s:
    days: Int64s = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return days


def _seconds(parts: dict[str, Int64s]) -> tuple[Any, Any]:
    """Seconds of the day, and where they are within it; a leap second is not."""
    nothing = np.int64(0)
    hour, minute, second = (parts.get(part, nothing) for part in "HMS")
    return hour * 3600 + minute * 60 + second, (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004
