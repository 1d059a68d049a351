"""Columns that follow from Avro schemas: names, types, nullability and docs of what records carry.

The first version's fields keep the places that they were given; those of later versions come after everything else,
in the order of the versions, so that a table that is made anew has its columns in the order of one that grew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    TimestampType,
    TimestamptzType,
)

import schemas
from k2app.avro.schema import parse
from k2app.avro.types import Array, AvroType, Decimal, Enum, Field, Fixed, Map, Primitive, is_nullable, unwrap
from k2app.errors import OperatorError

NO_ID = 0
"""Ids of nested fields here: a catalog gives fresh ones."""

_PRIMITIVES: dict[tuple[str, str | None], IcebergType] = {
    ("boolean", None): BooleanType(),
    ("int", None): IntegerType(),
    ("long", None): LongType(),
    ("float", None): FloatType(),
    ("double", None): DoubleType(),
    ("bytes", None): BinaryType(),
    ("string", None): StringType(),
    ("int", "date"): DateType(),
    ("long", "timestamp-micros"): TimestamptzType(),
    ("long", "local-timestamp-micros"): TimestampType(),
}


class Column(NamedTuple):
    """One column as a table is created with it."""

    name: str
    type: IcebergType
    required: bool
    doc: str | None = None


class RecordColumns(NamedTuple):
    """Columns of a record."""

    first: tuple[Column, ...]
    """Of the first version's fields, in their order, with the types of the newest version."""
    later: tuple[Column, ...]
    """Of fields that came with later versions; always optional, since older rows have none."""


def record_columns(record: str) -> RecordColumns:
    """Columns of a record, from all versions of its schema; a field that is gone stays an optional column.

    Raises
    ------
    OperatorError
        A field has a type that tables do not hold.
    """
    return columns_of(schemas.versions(record))


def columns_of(versions: Mapping[int, Mapping[str, Any]]) -> RecordColumns:
    """As `record_columns`, of these versions, the oldest first."""
    parsed = [parse(raw) for raw in versions.values()]
    newest = {field.name for field in parsed[-1].fields}
    fields: dict[str, Field] = {}
    docs: dict[str, str] = {}
    for schema, raw in zip(parsed, versions.values(), strict=True):
        fields |= {field.name: field for field in schema.fields}
        docs |= {str(one["name"]): str(one["doc"]) for one in raw["fields"] if "doc" in one}
    first = {field.name for field in parsed[0].fields}
    columns = [
        Column(
            name,
            _column_type(field.type, name),
            name in first & newest and not field.nullable,
            docs.get(name),
        )
        for name, field in fields.items()
    ]
    return RecordColumns(
        tuple(c for c in columns if c.name in first), tuple(c for c in columns if c.name not in first)
    )


def _column_type(kind: AvroType, path: str) -> IcebergType:
    match unwrap(kind):
        case Primitive(name, logical) if (name, logical) in _PRIMITIVES:
            return _PRIMITIVES[name, logical]
        case Decimal(precision, scale):
            return DecimalType(precision, scale)
        case Enum():
            return StringType()
        case Fixed(size=size):
            return FixedType(size)
        case Array(items):
            return ListType(NO_ID, _column_type(items, f"{path}[]"), element_required=not is_nullable(items))
        case Map(values):
            value = _column_type(values, f"{path}{{}}")
            return MapType(NO_ID, StringType(), NO_ID, value, value_required=not is_nullable(values))
    names = ", ".join("/".join(filter(None, key)) for key in _PRIMITIVES)
    raise OperatorError(
        f"schemas: field {path} has the Avro type {kind}, which tables do not hold; they hold {names}, decimal, enum, "
        "fixed, array and map"
    )
