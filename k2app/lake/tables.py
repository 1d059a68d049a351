"""The lake's tables: columns, partitioning, sort order.

Catalogs give a new table's columns fresh ids (pyiceberg and the REST servers alike, whatever ids are asked for):
1, 2, 3 ... in column order, nested ones after all others. `SPECS` shows what they give, so that a new table has
exactly these. An older table keeps its own: files are written by the table's schema, columns are matched by name.
What records carry follows from their newest Avro schema (`record_columns`); what K2 adds stands here. A column is
added at the end: see `evolution`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    BinaryType,
    DateType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from k2app.lake.column_docs import column_doc
from k2app.lake.record_columns import Column, record_columns

FORMAT = "1"
"""Value of the table property `k2.format`: raised when an older program must not write the table."""

FORMAT_PROPERTY = "k2.format"

PARTITION_FIELD_ID = 1000
"""First id of a partition field (Source: Iceberg specification, "Partition evolution")."""


class Name(StrEnum):
    """Tables of the lake."""

    TRADES = "trades"
    QUOTES = "quotes"
    REFERENCE_DATA = "reference_data"
    GAPS = "gaps"
    DEAD_LETTERS = "dead_letters"
    LOADS = "loads"


@dataclass(frozen=True)
class TableSpec:
    """One table as it is created."""

    name: Name
    schema: Schema
    partition: PartitionSpec
    sort: SortOrder

    @property
    def sort_columns(self) -> tuple[str, ...]:
        """Names of the columns that files are sorted by, in order; all ascending, nulls first."""
        return tuple(self.schema.find_column_name(field.source_id) or "" for field in self.sort.fields)

    @property
    def arrow_schema(self) -> pa.Schema:
        """Columns as Arrow types: strings are large, timestamps microseconds in UTC."""
        return schema_to_pyarrow(self.schema, include_field_ids=False)


_TEXT = StringType()
_LONG = LongType()
_TIME = TimestamptzType()

_COORDINATES: tuple[Column, ...] = (
    Column("log_id", _TEXT, True),
    Column("topic", _TEXT, True),
    Column("partition", IntegerType(), True),
    Column("offset", _LONG, True),
)

_KNOWN: tuple[Column, ...] = (
    Column("committed_at", _TIME, True),
    Column("commit_id", _TEXT, True),
)

_CHECKED: tuple[Column, ...] = (
    Column("sequence_flag", _TEXT, True),
    Column("epoch", IntegerType(), True),
    Column("trading_date", DateType(), True),
)

_GAPS: tuple[Column, ...] = (
    Column("event", _TEXT, True),
    Column("exchange", _TEXT, True),
    Column("asset_class", _TEXT, True),
    Column("data_type", _TEXT, True),
    Column("symbol", _TEXT, True),
    Column("trading_date", DateType(), False),
    Column("epoch", IntegerType(), True),
    Column("from_sequence", _LONG, True),
    Column("to_sequence", _LONG, True),
    Column("missing", _LONG, True),
    Column("severity", _TEXT, True),
    Column("timestamp", _TIME, True),
    Column("event_index", IntegerType(), True),
)

_DEAD_LETTERS: tuple[Column, ...] = (
    Column("reason", _TEXT, True),
    Column("schema_id", IntegerType(), False),
    Column("log_timestamp", _TIME, True),
    Column("key", BinaryType(), False),
    Column("value", BinaryType(), False),
)

_NUMBERS = StructType(
    NestedField(62, "symbol", _TEXT, required=True),
    NestedField(63, "trading_date", DateType(), required=True),
    NestedField(64, "first", _LONG, required=True),
    NestedField(65, "last", _LONG, required=True),
)

_SENT = StructType(
    NestedField(66, "topic", _TEXT, required=True),
    NestedField(67, "partition", IntegerType(), required=True),
    NestedField(68, "start", _LONG, required=True),
    NestedField(69, "end", _LONG, required=True),
)

_LOADS: tuple[Column, ...] = (
    Column("load_id", _TEXT, True),
    Column("state", _TEXT, True),
    Column("recorded_at", _TIME, True),
    Column("file", _TEXT, True),
    Column("file_sha256", _TEXT, True),
    Column("file_bytes", _LONG, True),
    Column("exchange", _TEXT, True),
    Column("data_type", _TEXT, True),
    Column("profile", _TEXT, True),
    Column("sequence_mode", _TEXT, True),
    Column("symbol", _TEXT, False),
    Column("rows", _LONG, True),
    Column("rejects", _LONG, True),
    Column("rejects_file", _TEXT, False),
    Column("numbers", ListType(60, _NUMBERS, element_required=True), True),
    Column("sent", ListType(61, _SENT, element_required=True), True),
    Column("log_id", _TEXT, True),
    Column("reason", _TEXT, False),
)


def _main(record: str, checked: tuple[Column, ...] = ()) -> tuple[Column, ...]:
    """Columns of a table that topics feed: the record's, those that K2 adds, and what later versions brought."""
    first, later = record_columns(record)
    return (*first, *checked, *_KNOWN, *_COORDINATES, *later)


def _spec(name: Name, columns: tuple[Column, ...], day: str | None, sort: tuple[str, ...]) -> TableSpec:
    fields = (
        NestedField(n, c.name, c.type, required=c.required, doc=c.doc or column_doc(name, c.name))
        for n, c in enumerate(columns, 1)
    )
    schema = assign_fresh_schema_ids(Schema(*fields))
    source = {field.name: field.field_id for field in schema.fields}
    partition = PartitionSpec()
    if day is not None:
        partition = PartitionSpec(
            PartitionField(source[day], PARTITION_FIELD_ID, DayTransform(), f"{day}_day"),
        )
    order = SortOrder(*(SortField(source[n], IdentityTransform()) for n in sort))
    return TableSpec(name, schema, partition, order)


_PLACE = ("log_id", "topic", "partition", "offset")

SPECS: dict[Name, TableSpec] = {
    spec.name: spec
    for spec in (
        _spec(
            Name.TRADES, _main("trade", _CHECKED), "timestamp", ("symbol", "timestamp", "sequence", *_PLACE)
        ),
        _spec(
            Name.QUOTES, _main("quote", _CHECKED), "timestamp", ("symbol", "timestamp", "sequence", *_PLACE)
        ),
        _spec(
            Name.REFERENCE_DATA,
            _main("reference_data"),
            None,
            ("company_id", *_PLACE),
        ),
        _spec(
            Name.GAPS,
            (*_GAPS, *_KNOWN, *_COORDINATES),
            "timestamp",
            ("symbol", "timestamp", *_PLACE, "event_index"),
        ),
        _spec(Name.DEAD_LETTERS, (*_DEAD_LETTERS, *_KNOWN, *_COORDINATES), "committed_at", _PLACE),
        _spec(Name.LOADS, _LOADS, None, ("load_id", "recorded_at")),
    )
}
"""Every table of the lake, by name."""
