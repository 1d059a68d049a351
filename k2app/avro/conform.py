"""Bring a column to the Arrow type its Avro type has, or say which row does not fit.

Only exact changes are made: integers change their width, decimals their scale, times their unit, all without loss;
text may be dictionary-encoded or not, with 32-bit or 64-bit offsets, for strings and for enums.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.avro import int128
from k2app.avro.build import repeated_keys, symbols
from k2app.avro.cursor import Mask
from k2app.avro.types import Array, AvroType, Decimal, Enum, Map, arrow_type, is_nullable, unwrap
from k2app.errors import OperatorError, RecordError


def conform(array: Any, kind: AvroType, path: str) -> Any:
    """The array in `arrow_type(kind)` (an enum: its indices); the items of lists and maps stay as they are.

    Raises
    ------
    RecordError
        A value does not fit.
    OperatorError
        The column's type cannot hold the field's values.
    """
    if not is_nullable(kind) and array.null_count:
        refuse(_mask(array.is_null()), array, path, "must not be null")
    inner = unwrap(kind)
    match inner:
        case Enum():
            return _enum(array, inner, path)
        case Decimal():
            return _decimal(array, inner, path)
        case Array() | Map():
            return _nested(array, inner, path)
    return _cast(array, arrow_type(inner), path)


def refuse(bad: Mask, array: Any, path: str, why: str) -> None:
    """Raise for the first value marked."""
    if bad.any():
        raise RecordError(f"field {path}: {_shown(array, int(np.argmax(bad)))}: {why}")


def _mask(booleans: Any) -> Mask:
    mask: Mask = booleans.to_numpy(zero_copy_only=False)
    return mask


def check_keys(keys: Any, counts: Any, array: Any, path: str) -> None:
    """Refuse maps with a key twice."""
    refuse(repeated_keys(keys, counts), array, path, "a key stands twice")


def _enum(array: Any, kind: Enum, path: str) -> Any:
    """int8 indices into the enum's symbols."""
    if pa.types.is_dictionary(array.type):
        known = pc.index_in(array.dictionary.cast(pa.string()), value_set=symbols(kind))
        indices = known.take(array.indices)
    else:
        indices = pc.index_in(_cast(array, pa.string(), path), value_set=symbols(kind), skip_nulls=True)
    unknown = _mask(pc.and_not(indices.is_null(), array.is_null()))
    refuse(unknown, array, path, f"not one of {', '.join(kind.symbols)}")
    return indices.cast(pa.int8())


def _decimal(array: Any, kind: Decimal, path: str) -> Any:
    if not pa.types.is_decimal(array.type) and not pa.types.is_null(array.type):
        raise OperatorError(f"field {path}: {array.type} is not a decimal")
    # The widest type of the scale first: a rescaling that rounds and one that overflows fail alike.
    wide = _cast(array, pa.decimal128(38, kind.scale), path)
    refuse(~_within(wide, kind), array, path, f"more than {kind.precision} digits at scale {kind.scale}")
    return wide


def _within(array: Any, kind: Decimal) -> Mask:
    return int128.within(int128.from_arrow(array), kind.precision)


def _nested(array: Any, kind: Array | Map, path: str) -> Any:
    types = pa.types
    if types.is_null(array.type):
        return array.cast(arrow_type(kind))
    if isinstance(kind, Map) and types.is_map(array.type):
        return array
    if isinstance(kind, Array) and types.is_list(array.type):
        return array
    if isinstance(kind, Array) and types.is_large_list(array.type):
        return array.cast(pa.list_(array.type.value_type))
    raise OperatorError(f"field {path}: {array.type} is not {arrow_type(kind)}")


def _cast(array: Any, wanted: Any, path: str) -> Any:
    """Cast without loss, between types of one family only; a dictionary is its values."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.type == wanted:
        return array
    if not any(of(array.type) and of(wanted) for of in _FAMILIES) and not pa.types.is_null(array.type):
        raise OperatorError(f"field {path}: {array.type} is not {wanted}")
    try:
        return array.cast(wanted)
    except pa.ArrowInvalid as error:
        if _is_text(wanted) or _is_octets(wanted):
            raise OperatorError(f"field {path}: over 2 GiB at once ({error}): encode fewer rows") from error
        raise RecordError(f"field {path}: {_shown(array, 0)}: {error}") from error


def _shown(array: Any, row: int) -> str:
    """A value for a message, shortened."""
    return reprlib.repr(array[row].as_py())


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_octets(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_instant(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def _is_local_time(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is None)


_FAMILIES: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_decimal,
    _is_text,
    _is_octets,
    _is_instant,
    _is_local_time,
)
