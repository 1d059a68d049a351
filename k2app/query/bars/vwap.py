"""Volume-weighted average prices: exact division, half-even, a column at a time.

Notional has 16 places and volume 8, so that the quotient of their unscaled integers counts units of 1e-8, the places
of a price. A double comes near it; what is left over is divided again, in 128-bit integers, until it is exact. (Arrow's
decimals are no help: pyarrow 26 floors and rounds 256-bit ones wrongly.)
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from k2app.avro.int128 import Pair, from_arrow

VWAP = pa.decimal128(38, 8)
"""Type of a VWAP: wider than a price, as a sum is."""

PLACES: Final = Decimal("1e-8")

VOLUME_BITS: Final = 62
"""Volumes of fewer bits, which is 46 billion shares, are divided as columns."""

QUOTIENT: Final = float(1 << 60)
"""So are quotients below it; prices of 18 digits are."""

WORD: Final = 2.0**64

HALF: Final = np.int64(32)
"""Bits of half a word."""

LOWER: Final = np.int64((1 << 32) - 1)
"""The lower half of a word."""

EXACT: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)
"""Wide enough to round twice: no quotient of 38-digit numbers is nearer to a tie without being one."""

Ints = npt.NDArray[np.int64]


def divide(notional: Any, volume: Any) -> Any:
    """Divide arrays of notional (decimal(38, 16)) by volume (decimal(38, 8)).

    Returns
    -------
    decimal128(38, 8) array
        Half-even at the eighth place; null where the volume is 0, or either is null.
    """
    low, high = from_arrow(notional)
    volume_low, volume_high = from_arrow(volume)
    total = volume_low.view(np.int64)
    small = (volume_high == 0) & (total > 0) & (total < 1 << VOLUME_BITS)
    quick = small & (np.abs(_double((low, high)) / np.where(small, total, 1)) < QUOTIENT)
    dividend = np.where(quick, low, np.uint64(0)), np.where(quick, high, 0)
    units = _quotient(dividend, np.where(quick, total, 1))
    words = np.stack([units, units >> 63], axis=1)
    quotients = pa.Array.from_buffers(VWAP, len(units), [None, pa.py_buffer(words)])
    others = ~quick if not notional.null_count else ~quick | notional.is_null().to_numpy(zero_copy_only=False)
    return _with_others(quotients, notional, volume, np.flatnonzero(others)) if others.any() else quotients


def _quotient(dividend: Pair, divisor: Ints) -> Ints:
    """Quotients, half-even: a double, twice, then a whole remainder smaller than the divisor."""
    first = np.rint(_double(dividend) / divisor).astype(np.int64)
    left = _less(dividend, _product(first, divisor))
    second = np.rint(_double(left) / divisor).astype(np.int64)
    rest = _less(left, _product(second, divisor))[0].view(np.int64)
    quotient = first + second + rest // divisor
    twice = 2 * (rest % divisor)
    rounded: Ints = quotient + ((twice > divisor) | ((twice == divisor) & (quotient % 2 == 1)))
    return rounded


def _double(pair: Pair) -> npt.NDArray[np.float64]:
    low, high = pair
    return np.asarray(high * WORD + low, np.float64)


def _product(left: Ints, right: Ints) -> Pair:
    """128-bit products of numbers of fewer than 62 bits, and `right` not negative."""
    left_low, left_high = left & LOWER, left >> HALF
    right_low, right_high = right & LOWER, right >> HALF
    lowest = left_low.view(np.uint64) * right_low.view(np.uint64)
    middle = left_high * right_low + left_low * right_high
    low = lowest + (middle << HALF).view(np.uint64)
    return low, left_high * right_high + (middle >> HALF) + (low < lowest)


def _less(left: Pair, right: Pair) -> Pair:
    """Differences of 128-bit numbers."""
    return left[0] - right[0], left[1] - right[1] - (left[0] < right[0])


def _with_others(quotients: Any, notional: Any, volume: Any, rows: Ints) -> Any:
    """The quotients with those of some rows divided one by one; null where a row has none."""
    others = pa.array([divide_one(notional[row].as_py(), volume[row].as_py()) for row in rows.tolist()], VWAP)
    places = np.arange(len(quotients))
    places[rows] = len(quotients) + np.arange(len(rows))
    return pa.concat_arrays([quotients, others]).take(pa.array(places))


def divide_one(notional: Decimal | None, volume: Decimal | None) -> Decimal | None:
    """Notional by volume, half-even to 8 places; None without volume."""
    if notional is None or not volume:
        return None
    return EXACT.quantize(EXACT.divide(notional, volume), PLACES)
