"""Data files as one typed SQL relation, whatever schema each was written under.

Columns are matched by Iceberg field id, as the specification demands ("Column Projection"): a file written
before a column was added gives nulls for it, a renamed column is found under its old name, and a dropped
column's name used again does not bring the old values back. DuckDB's own `schema` option is not used: in
1.5.5 it mixes up the columns of files that hold maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
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
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from k2app.errors import OperatorError
from k2app.lake.catalog import reading
from k2app.lake.fileio import local_path
from k2app.lake.object_store import is_on_s3
from k2app.query.reading.bounds import BOUNDS_KEPT, Known
from k2app.query.reading.filters import quoted
from k2app.query.reading.footers import FOOTERS_BYTES, Footer
from k2app.query.reading.plan import Recent
from k2app.query.reading.snapshots import Version

LAYOUTS_KEPT = 16_384
"""File layouts in memory; read only for tables whose schema was ever changed."""

SHAPES_KEPT = 256
"""Schemas in memory: one for each table and change of its schema."""

_FIELD_ID = b"PARQUET:field_id"
"""Arrow's name for the field id that a Parquet file carries."""

_SQL_TYPES: dict[type[IcebergType], str] = {
    BinaryType: "BLOB",
    BooleanType: "BOOLEAN",
    DateType: "DATE",
    DoubleType: "DOUBLE",
    FixedType: "BLOB",
    FloatType: "FLOAT",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    StringType: "VARCHAR",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMPTZ",
    UUIDType: "UUID",
}

Layout = tuple[tuple[int, str, str], ...]
"""Field id, name and Arrow type of each column of a file."""


@dataclass(frozen=True)
class Shape:
    """A schema as queries see it.

    Parameters
    ----------
    layout
        Its columns, as a file written under it has them.
    sql_types
        DuckDB's type of each column.
    arrow
        Types of query results.
    """

    layout: Layout
    sql_types: tuple[str, ...]
    arrow: pa.Schema


@dataclass(frozen=True)
class Relation:
    """Rows of some files under one schema.

    Parameters
    ----------
    sql
        A SELECT with one column per field of the schema.
    parameters
        File paths that it binds.
    schema
        Arrow types of those columns.
    """

    sql: str
    parameters: Mapping[str, object]
    schema: pa.Schema


@dataclass(frozen=True)
class Scanner:
    """Makes relations; remembers the layouts of files, the bounds of their values, and their footers."""

    layouts: Recent[Layout] = field(default_factory=lambda: Recent(LAYOUTS_KEPT))
    shapes: Recent[Shape] = field(default_factory=lambda: Recent(SHAPES_KEPT))
    bounds: Recent[Known] = field(default_factory=lambda: Recent(BOUNDS_KEPT))
    footers: Recent[Footer] = field(default_factory=lambda: Recent(FOOTERS_BYTES, lambda one: one.size_bytes))

    def relation(self, version: Version, locations: Iterable[str], name: str = "files") -> Relation:
        """Rows of these files, under the schema of the version.

        Parameters
        ----------
        name
            What its parameters begin with: two relations in one statement need two.

        Raises
        ------
        OperatorError
            A column has a type that queries do not read, or a file lies where they do not reach.
        """
        shape = self.shape(version)
        groups = self._groups(version.table, tuple(locations), shape)
        selects = [_select(shape, layout, f"{name}_{n}") for n, layout in enumerate(groups)]
        parameters = {
            f"{name}_{n}": list(map(readable_path, paths)) for n, paths in enumerate(groups.values())
        }
        return Relation(" UNION ALL ".join(selects) or _nothing(shape), parameters, shape.arrow)

    def shape(self, version: Version) -> Shape:
        """What a version's schema looks like."""
        schema = schema_of(version)
        key = (str(version.table.metadata.table_uuid), schema.schema_id)
        return self.shapes.get(key, lambda: _shape(schema))

    def is_plain(self, version: Version, locations: Iterable[str]) -> bool:
        """Whether the files have the schema's columns as they are: by these names, in these types."""
        shape = self.shape(version)
        return set(self._groups(version.table, tuple(locations), shape)) <= {shape.layout}

    def _groups(self, table: Table, locations: tuple[str, ...], shape: Shape) -> dict[Layout, list[str]]:
        """Files by layout; footers are read only where schemas differ."""
        groups: dict[Layout, list[str]] = {}
        evolved = len(table.metadata.schemas) > 1
        for location in locations:
            layout = self._layout(table, location) if evolved else shape.layout
            groups.setdefault(layout, []).append(location)
        return groups

    def _layout(self, table: Table, location: str) -> Layout:
        return self.layouts.get(location, lambda: _read_layout(table, location))


def schema_of(version: Version) -> Schema:
    """Schema that the snapshot was written under; the table's where there is no snapshot."""
    if version.snapshot is None or version.snapshot.schema_id is None:
        return version.table.schema()
    return version.table.schemas()[version.snapshot.schema_id]


def arrow_schema(schema: Schema) -> pa.Schema:
    """Arrow types of query results: as `schema_to_pyarrow`, with plain strings and every column nullable."""
    fields = schema_to_pyarrow(schema, include_field_ids=False)
    return pa.schema([pa.field(f.name, _plain(f.type)) for f in fields])


def readable_path(location: str) -> str:
    """A file's location as DuckDB opens it.

    Raises
    ------
    OperatorError
        It is neither on this machine nor on S3.
    """
    path = local_path(location)
    if path is not None:
        return str(path)
    if is_on_s3(location):
        return f"s3://{location.partition('://')[2]}"
    raise OperatorError(f"queries read warehouses in a folder (file://) or on S3 (s3://), not {location}")


def sql_type(kind: IcebergType) -> str:
    """DuckDB's type of an Iceberg type.

    Raises
    ------
    OperatorError
        It has none here.
    """
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if isinstance(kind, ListType):
        return f"{sql_type(kind.element_type)}[]"
    if isinstance(kind, MapType):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.value_type)})"
    if isinstance(kind, StructType):
        return f"STRUCT({', '.join(f'{quoted(f.name)} {sql_type(f.field_type)}' for f in kind.fields)})"
    name = _SQL_TYPES.get(type(kind))
    if name is None:
        raise OperatorError(
            f"queries do not read columns of type {kind}; drop the column or read it elsewhere"
        )
    return name


def _shape(schema: Schema) -> Shape:
    arrow = arrow_schema(schema)
    columns = zip(schema.fields, arrow, strict=True)
    layout = tuple((wanted.field_id, wanted.name, str(found.type)) for wanted, found in columns)
    return Shape(layout, tuple(sql_type(wanted.field_type) for wanted in schema.fields), arrow)


def _select(shape: Shape, layout: Layout, files: str) -> str:
    present = {field_id: (name, kind) for field_id, name, kind in layout}
    wanted = zip(shape.layout, shape.sql_types, strict=True)
    columns = (_column(name, kind, into, present.get(field_id)) for (field_id, name, kind), into in wanted)
    return f"SELECT {', '.join(columns)} FROM read_parquet(${files}, hive_partitioning=false)"


def _column(name: str, kind: str, into: str, present: tuple[str, str] | None) -> str:
    if present is None:
        return f"NULL::{into} AS {quoted(name)}"
    found, found_kind = present
    value = quoted(found) if found_kind == kind else f"CAST({quoted(found)} AS {into})"
    return f"{value} AS {quoted(name)}"


def _nothing(shape: Shape) -> str:
    wanted = zip(shape.layout, shape.sql_types, strict=True)
    columns = (f"NULL::{into} AS {quoted(name)}" for (_, name, _), into in wanted)
    return f"SELECT {', '.join(columns)} WHERE false"


def _read_layout(table: Table, location: str) -> Layout:
    with reading(f"data file {location}"), table.io.new_input(location).open() as stream:
        schema = pq.read_schema(stream)
    return tuple((int((f.metadata or {}).get(_FIELD_ID, b"-1")), f.name, str(_plain(f.type))) for f in schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with plain strings and the usual names of nested fields, so that equal types compare equal."""
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("item", _plain(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _plain(f.type)) for f in kind])
    return kind
