"""Instants and dates from text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.load import patterns
from k2app.load.fields import EXCHANGE_ZONE, Date, Time
from k2app.load.parsed import Mask, Parsed, all_within, byte_set, cast_each, mask, octets, only, refuse
from k2app.load.records import TIME
from k2app.market import sessions

FIRST_US: Final = -62_135_596_800_000_000
LAST_US: Final = 253_402_300_799_999_999
"""Years 1 to 9999: what every reader of the lake can show."""

FACTOR: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds in a unit; nanoseconds are finer."""

LIMITS: Final = (("s", 10**11), ("ms", 10**14), ("us", 10**17), ("ns", 2**63 - 1))
"""With several units, that of what is smaller: seconds up to the year 5138, milliseconds and so on alike."""

_NS: Final = pa.timestamp("ns", "UTC")
_NAIVE: Final = r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d([.]\d+)?)?)?)?"
_TO_MINUTE: Final = r"^\d{4}-\d\d-\d\d[T ]\d\d(:\d\d"
_OFFSET: Final = r"(Z|[+-]\d\d(:?\d\d)?)$"
_PLAIN: Final = _TO_MINUTE + r"(:\d\d([.]\d{1,6})?)?)?" + _OFFSET
_FINE: Final = _TO_MINUTE + r":\d\d[.]\d{7,9})" + _OFFSET
_WHOLE: Final = r"^-?\d{1,19}$"


@dataclass(frozen=True, slots=True)
class Times:
    """Instants of every row.

    Attributes
    ----------
    parsed
        timestamp[us, UTC].
    ns
        int64[n] or None: nanoseconds since 1970 where the source is finer than a microsecond, else null.
    ambiguous
        Rows whose local time came twice; the first occurrence was taken.
    """

    parsed: Parsed
    ns: Any | None = None
    ambiguous: int = 0


def read_times(text: Any, how: Time, exchange_zone: str) -> Times:
    """Read instants.

    Parameters
    ----------
    text
        Strings; null stays null.
    exchange_zone
        IANA name, for `zone = "exchange"`.
    """
    if how.is_pattern:
        return _local(text, how.format, exchange_zone if how.zone in (None, EXCHANGE_ZONE) else str(how.zone))
    if how.format == "epoch":
        return _finish(text, _epoch(text, how.unit), f"an integer time in {' or '.join(how.unit)}")
    return _iso(text, how.unit)


def read_dates(text: Any, how: Date) -> Parsed:
    """Read calendar dates; date32."""
    moments = patterns.read(how.format, *octets(text))
    days = (moments.us // patterns.DAY_US).astype(np.int32)
    valid = mask(text.is_valid())
    values = pa.array(days, pa.int32(), mask=~(moments.ok & valid)).cast(pa.date32())
    bad = valid & ~moments.ok
    words = patterns.in_words(how.format)
    return Parsed(values, refuse(text, bad, lambda cell: f"{cell!r} is not a date of the form {words}"))


def _local(text: Any, pattern: str, zone: str) -> Times:
    moments = patterns.read(pattern, *octets(text))
    valid = mask(text.is_valid())
    found = sessions.local_to_utc_us(zone, np.where(moments.ok, moments.us, 0))
    words = patterns.in_words(pattern)
    refused = refuse(text, valid & ~moments.ok, lambda cell: f"{cell!r} is not a time of the form {words}")
    skipped = valid & moments.ok & found.nonexistent
    refused |= refuse(
        text, skipped, lambda cell: f"{cell!r} never was in {zone}: the clocks went forward past it"
    )
    good = valid & moments.ok & ~found.nonexistent
    values = pa.array(found.utc_us, pa.int64(), mask=~good).cast(TIME)
    return Times(Parsed(values, refused), ambiguous=int((found.ambiguous & good).sum()))


@dataclass(frozen=True, slots=True)
class _Read:
    """Microseconds and, where there is a finer rest, nanoseconds; int64 arrays with nulls."""

    us: Any
    ns: Any | None


def _epoch(text: Any, units: Sequence[str]) -> _Read:
    numbers = _whole(text)
    if len(units) == 1:
        return _in_unit(numbers, units[0])
    size = pc.abs(pc.max_element_wise(numbers, pa.scalar(-(2**63 - 1), pa.int64())))
    us, ns, above = pa.nulls(len(text), pa.int64()), None, -1
    for unit, limit in LIMITS:
        if unit in units:
            within = pc.and_(pc.greater(size, above), pc.less(size, pa.scalar(limit, pa.int64())))
            part = _in_unit(only(numbers, within), unit)
            us, ns = pc.coalesce(us, part.us), part.ns
        above = limit - 1
    return _Read(us, ns)


def _whole(text: Any) -> Any:
    """Cells that are whole numbers as int64, null for the others."""
    if not all_within(text, byte_set("0123456789")):
        text = only(text, pc.match_substring_regex(text, _WHOLE))
    return cast_each(text, pa.int64())


def _in_unit(numbers: Any, unit: str) -> _Read:
    if unit == "ns":
        return _from_ns(numbers)
    factor = FACTOR[unit]
    fits = pc.and_(
        pc.greater_equal(numbers, -(-FIRST_US // factor)), pc.less_equal(numbers, LAST_US // factor)
    )
    return _Read(pc.multiply(only(numbers, fits), pa.scalar(factor, pa.int64())), None)


def _from_ns(numbers: Any) -> _Read:
    values = numbers.fill_null(0).to_numpy()
    us, rest = np.divmod(values, 1000)
    missing = ~mask(numbers.is_valid())
    ns = pa.array(values, pa.int64(), mask=missing | (rest == 0)) if rest.any() else None
    return _Read(pa.array(us, pa.int64(), mask=missing), ns)


def _iso(text: Any, units: Sequence[str]) -> Times:
    what = "an ISO 8601 time with Z or an offset"
    if units and all_within(text, byte_set("0123456789")):
        return _finish(text, _epoch(text, units), f"{what}, or an integer time in {' or '.join(units)}")
    try:
        return Times(Parsed(_in_range(pc.cast(text, TIME)), {}))
    except pa.ArrowInvalid:
        pass
    fine = pc.match_substring_regex(text, _FINE)
    read = _from_ns(cast_each(only(text, fine), _NS).cast(pa.int64()))
    # What cannot be a time is sorted out first: finding it by casting costs a hundred times as much.
    plain = only(text, pc.match_substring_regex(text, _PLAIN))
    us, ns = pc.coalesce(read.us, cast_each(plain, TIME).cast(pa.int64())), read.ns
    if units:
        what = f"{what}, or an integer time in {' or '.join(units)}"
        epoch = _epoch(text, units)
        us = pc.coalesce(us, epoch.us)
        ns = epoch.ns if ns is None else ns if epoch.ns is None else pc.coalesce(ns, epoch.ns)
    return _finish(text, _Read(us, ns), what)


def _in_range(times: Any) -> Any:
    """The times, if all are within the years that can be shown; else ArrowInvalid."""
    extremes = pc.min_max(times.cast(pa.int64()))
    if extremes["min"].as_py() is not None and extremes["min"].as_py() < FIRST_US:
        raise pa.ArrowInvalid("a year before 1")
    return times


def _finish(text: Any, read: _Read, what: str) -> Times:
    within = pc.and_(pc.greater_equal(read.us, FIRST_US), pc.less_equal(read.us, LAST_US))
    values = only(read.us, within).cast(TIME)
    bad: Mask = mask(text.is_valid()) & ~mask(values.is_valid())
    return Times(Parsed(values, refuse(text, bad, lambda cell: _why(cell, what))), read.ns)


def _why(cell: str, what: str) -> str:
    if re.fullmatch(_NAIVE, cell):
        return f"{cell!r} has no zone; it takes Z or an offset such as +10:00"
    return f"{cell!r} is not {what}"


def ns_text(ns: Any | None, rows: int) -> Any:
    """Nanoseconds as text for an attribute; string[n], null where a microsecond is enough."""
    return pa.nulls(rows, pa.string()) if ns is None else pc.cast(ns, pa.string())
