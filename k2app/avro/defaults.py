"""A field's default: from the schema's JSON to the value that `pa.array` takes for the field's Arrow type.

Source: Avro 1.12 specification, "Complex Types", the table of field default values.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import Any

from k2app.avro.types import Array, AvroType, Decimal, Enum, Fixed, Map, Nullable, Primitive
from k2app.errors import OperatorError

_RANGES = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


def from_json(kind: AvroType, raw: Any, path: str) -> Any:  # noqa: PLR0911 - one per type
    """Convert one default; temporal types stay integers, maps become pairs.

    Raises
    ------
    OperatorError
        The default does not fit the field's type.
    """
    match kind:
        case Nullable(inner):
            return None if raw is None else from_json(inner, raw, path)
        case Array(items) if isinstance(raw, list):
            return [from_json(items, item, f"{path}[]") for item in raw]
        case Map(values) if isinstance(raw, Mapping):
            return [(str(key), from_json(values, item, f"{path}{{}}")) for key, item in raw.items()]
        case Enum(symbols=symbols) if raw in symbols:
            return raw
        case Fixed(size=size) if len(_octets(raw, kind, path)) == size:
            return _octets(raw, kind, path)
        case Decimal():
            return _decimal(kind, _octets(raw, kind, path), path)
        case Primitive(name):
            return _primitive(name, kind, raw, path)
    raise _refusal(kind, raw, path)


def _primitive(name: str, kind: AvroType, raw: Any, path: str) -> Any:
    match name, raw:
        case "null", None:
            return None
        case "boolean", bool():
            return raw
        case (("float" | "double"), int() | float()) if not isinstance(raw, bool):
            return float(raw)
        case "string", str():
            return raw
        case "bytes", _:
            return _octets(raw, kind, path)
        case (("int" | "long"), int()) if not isinstance(raw, bool):
            low, high = _RANGES[name]
            if low <= raw <= high:
                return raw
    raise _refusal(kind, raw, path)


def _octets(raw: Any, kind: AvroType, path: str) -> bytes:
    """Bytes in JSON are text whose code points 0..255 are the bytes."""
    if not isinstance(raw, str) or any(ord(char) > 255 for char in raw):  # noqa: PLR2004 - a byte's range
        raise _refusal(kind, raw, path)
    return raw.encode("latin-1")


def _decimal(kind: Decimal, octets: bytes, path: str) -> decimal.Decimal:
    unscaled = int.from_bytes(octets, "big", signed=True)
    if not octets or abs(unscaled) >= 10**kind.precision or len(octets) != (kind.size or len(octets)):
        raise _refusal(kind, octets, path)
    return decimal.Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -kind.scale))


def _refusal(kind: AvroType, raw: Any, path: str) -> OperatorError:
    return OperatorError(f"Avro schema, {path}: default {raw!r} is not a value of {kind}")
