"""The supported Avro types as a resolved tree: names are looked up, logical types are checked.

Source: Avro 1.12 specification, "Primitive Types", "Complex Types", "Logical Types".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

MISSING: Final = object()
"""Marks a field without a default; None is a default (null)."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive, with its logical type if that changes the Arrow type (decimals stand apart).

    `name` is null, boolean, int, long, float, double, bytes or string.
    """

    name: str
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Decimal:
    """A decimal in bytes (`size` None) or in a fixed of `size` bytes (then `name` is the fixed's)."""

    precision: int
    scale: int
    size: int | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fixed:
    """`size` bytes, under a full name."""

    name: str
    size: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enum:
    """One of `symbols`; `default` stands in for a writer's symbol that the reader does not know."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of `items`."""

    items: AvroType


@dataclass(frozen=True, slots=True)
class Map:
    """Strings to `values`; a key stands once."""

    values: AvroType


@dataclass(frozen=True, slots=True)
class Nullable:
    """A union of null and `inner`; `null_branch` is null's index, 0 or 1."""

    inner: AvroType
    null_branch: int


AvroType = Primitive | Decimal | Fixed | Enum | Array | Map | Nullable


@dataclass(frozen=True, slots=True)
class Field:
    """A record's field. `default` is MISSING, or the value as `pa.array` takes it."""

    name: str
    type: AvroType
    default: Any = field(default=MISSING, hash=False)
    aliases: tuple[str, ...] = ()

    @property
    def nullable(self) -> bool:
        """Whether a value may be null."""
        return is_nullable(self.type)


def is_nullable(kind: AvroType) -> bool:
    """Whether values of this type may be null: a union with null, or null itself."""
    return isinstance(kind, Nullable) or kind == Primitive("null")


def unwrap(kind: AvroType) -> AvroType:
    """The type without the union with null around it."""
    return kind.inner if isinstance(kind, Nullable) else kind


_ARROW: Final = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
LOGICAL: Final = {
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
}
"""Logical types with an Arrow type of their own; any other is read as the type beneath it."""
PRIMITIVES: Final = frozenset(_ARROW)


def arrow_type(kind: AvroType) -> Any:  # noqa: PLR0911 - one per type
    """The Arrow type that holds this Avro type; nullability is the Arrow field's business."""
    match kind:
        case Primitive(name, logical):
            return _ARROW[name] if logical is None else LOGICAL[name, logical]
        case Decimal(precision, scale):
            return pa.decimal128(precision, scale)
        case Fixed(size=size):
            return pa.binary(size)
        case Enum():
            return pa.dictionary(pa.int8(), pa.string())
        case Array(items):
            return pa.list_(arrow_type(items))
        case Map(values):
            return pa.map_(pa.string(), arrow_type(values))
        case Nullable(inner):
            return arrow_type(inner)
