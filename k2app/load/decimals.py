"""Decimals and integers from text, exactly: what does not fit is refused, never rounded.

A decimal is an optional sign, digits, and optionally a point: `12`, `-0.5`, `+1.`, `.25`. No exponent, no
thousands separator, no infinity. Zeros at either end cost nothing: `1.1000000000` is 1.1.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.load.parsed import Mask, Parsed, all_within, byte_set, cast_each, mask, only, refuse

PATTERN: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$"
WHOLE: Final = r"^[+-]?[0-9]+$"

DECIMAL: Final = pa.decimal128(18, 8)
"""A price or quantity where nothing else is said: 10 digits before the point, 8 after."""

SCALED_DIGITS: Final = 38
"""Of an integer that counts in small units: what decimal128 holds."""


def read_decimals(text: Any, scale: int, kind: Any = DECIMAL) -> Parsed:
    """Read decimals.

    Parameters
    ----------
    text
        Strings; null stays null.
    scale
        Cells without a point count in units of 10^-scale.
    kind
        Arrow decimal that is wanted: that of the schema in force.
    """
    values = _fast(text, kind) if scale == 0 else None
    if values is not None:
        return Parsed(values, {})
    well_formed = only(text, pc.match_substring_regex(text, PATTERN))
    values = cast_each(well_formed, kind) if scale == 0 else _scaled(well_formed, scale, kind)
    return Parsed(values, refuse(text, _failed(text, values), partial(_why, scale=scale, kind=kind)))


def read_integers(text: Any) -> Parsed:
    """Read whole numbers that are not negative; int64."""
    if all_within(text, byte_set("0123456789")):
        values = cast_each(text, pa.int64())
    else:
        values = cast_each(only(text, pc.match_substring_regex(text, "^[0-9]+$")), pa.int64())
    return Parsed(
        values, refuse(text, _failed(text, values), "{!r} is not a whole number of up to 19 digits".format)
    )


def negative(values: Any) -> Mask:
    """Where decimals are below zero."""
    return mask(pc.less(values, pa.scalar(0, values.type)))


def zero(values: Any) -> Any:
    """Where decimals are zero; null where they are null."""
    return pc.equal(values, pa.scalar(0, values.type))


def _fast(text: Any, kind: Any) -> Any | None:
    """All of them at once, if nothing is wrong. Arrow reads exponents, so these are ruled out before."""
    if not all_within(text, byte_set("0123456789.+-")):
        return None
    try:
        return pc.cast(text, kind)
    except pa.ArrowInvalid:
        return None


def _scaled(text: Any, scale: int, kind: Any) -> Any:
    """Decimals of which those without a point are integers in units of 10^-scale."""
    whole = pc.match_substring_regex(text, WHOLE)
    integers = cast_each(only(text, whole), pa.decimal128(SCALED_DIGITS, 0))
    # The same integers with the point moved: exact, and no arithmetic.
    moved = pa.Array.from_buffers(
        pa.decimal128(SCALED_DIGITS, scale), len(integers), integers.buffers(), offset=integers.offset
    )
    return pc.coalesce(cast_each(moved, kind), cast_each(only(text, pc.invert(whole)), kind))


def _failed(text: Any, values: Any) -> Mask:
    failed: Mask = np.asarray(mask(text.is_valid()) & ~mask(values.is_valid()))
    return failed


def _why(cell: str, scale: int, kind: Any) -> str:
    if re.match(PATTERN, cell) is None:
        return f"{cell!r} is not a decimal number"
    whole = cell.lstrip("+-").partition(".")[0]
    digits = kind.precision - kind.scale
    if len(whole.lstrip("0")) > digits + ("." not in cell) * scale:
        return f"{cell!r} has more than {digits} digits before the point"
    return f"{cell!r} has more than {kind.scale} decimal places"
