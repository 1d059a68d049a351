"""Times and decimals as text: their digits three at a time, from tables of all there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from k2app.query.answers.row_text import Fragment, Text, texts_of

Ints = npt.NDArray[np.int64]

INT64_DIGITS = 18
"""Digits of a decimal whose unscaled value always fits int64."""

GROUP = 1_000
"""Digits of fractions are written three at a time: larger tables would not stay in the processor's cache."""

DAY_S, MINUTE_S = 86_400, 60


def timestamp_texts(column: pa.Array) -> Iterable[Text]:
    """Times in UTC: the day as Arrow writes it, and the digits after it from tables."""
    unit, groups = ("us", 2) if column.type.unit in {"s", "ms", "us"} else ("ns", 3)
    whole_s, fraction = np.divmod(_integers(column.cast(pa.timestamp(unit, column.type.tz))), GROUP**groups)
    days, seconds = np.divmod(whole_s, DAY_S)
    found = pa.array(days.astype(np.int32)).dictionary_encode()
    minutes, seconds = np.divmod(seconds, MINUTE_S)
    yield Fragment(found.dictionary.cast(pa.date32()).cast(pa.large_string()), found.indices.to_numpy())
    yield Fragment(_minutes(), minutes)
    yield Fragment(_seconds(), seconds)
    for group in range(groups - 1, 0, -1):
        high, fraction = np.divmod(fraction, GROUP**group)
        yield Fragment(_digits(), high)
    yield Fragment(_digits(), fraction)
    yield "Z"


def decimal_texts(column: pa.Array, whole_texts: Callable[[pa.Array], Iterable[Text]]) -> Iterable[Text]:
    """The sign, the digits before the point, and three at a time those after it, up to the last that is not 0.

    Parameters
    ----------
    column
        Of at most `INT64_DIGITS` digits.
    whole_texts
        Writes the digits before the point, as integers.
    """
    scale = column.type.scale
    unscaled = _unscaled(column)
    if scale < 0:
        unscaled, scale = unscaled * 10**-scale, 0
    if (unscaled < 0).any():
        yield Fragment(texts_of("", "-"), (unscaled < 0).astype(np.int32))
    whole, fraction = np.divmod(np.abs(unscaled), 10**scale)
    yield from whole_texts(pa.array(whole))
    if not fraction.any():
        return
    groups = -(-scale // 3)
    fraction *= 10 ** (3 * groups - scale)
    for group in range(groups - 1, -1, -1):
        high, fraction = np.divmod(fraction, GROUP**group)
        table = _after_point() if group == groups - 1 else _further()
        yield Fragment(table, high + GROUP * (fraction == 0))
        if not fraction.any():
            return


def _integers(column: pa.Array) -> Ints:
    """The numbers that 64-bit values are; null as 0."""
    numbers: Ints = filled(column.view(pa.int64()), 0)
    return numbers


def filled(numbers: pa.Array, null: int) -> Any:
    """Numbers with one of them for null."""
    filled = numbers.fill_null(null) if numbers.null_count else numbers
    return filled.to_numpy(zero_copy_only=False)


def _unscaled(column: pa.Array) -> Ints:
    """Lower halves of the 128-bit integers, which hold all of a decimal of at most 18 digits; null as 0."""
    if column.type.bit_width != 128:  # noqa: PLR2004 - a decimal128
        column = column.cast(pa.decimal128(column.type.precision, column.type.scale))
    pairs = np.frombuffer(column.buffers()[1], np.int64).reshape(-1, 2)
    low = pairs[column.offset : column.offset + len(column), 0]
    if not column.null_count:
        return low
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), low, 0)


@cache
def _minutes() -> pa.Array:
    return texts_of(*(f"T{hour:02d}:{minute:02d}:" for hour in range(24) for minute in range(60)))


@cache
def _seconds() -> pa.Array:
    return texts_of(*(f"{second:02d}." for second in range(MINUTE_S)))


@cache
def _digits() -> pa.Array:
    return texts_of(*(f"{digits:03d}" for digits in range(GROUP)))


@cache
def _further() -> pa.Array:
    """Three digits, and from number 1,000 on the same without trailing zeros."""
    digits = [f"{digits:03d}" for digits in range(GROUP)]
    return texts_of(*digits, *(text.rstrip("0") for text in digits))


@cache
def _after_point() -> pa.Array:
    """As `_further`, after the point; of nothing but zeros nothing is left, and no point."""
    digits = [f".{digits:03d}" for digits in range(GROUP)]
    return texts_of(*digits, *(text.rstrip("0").rstrip(".") for text in digits))
