"""The lake's tables: columns, partitioning, sort order.

Catalogs give a new table's columns fresh ids (pyiceberg and the REST servers alike, whatever ids are asked for):
1, 2, 3 ... in column order, nested ones after all others. `SPECS` shows what they give, so that a new table has
exactly these. An older table keeps its own: files are written by the table's schema, columns are matched by name.
A column is added at the end.
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
    DecimalType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

FORMAT = "1"
"""Value of the table property `k2.format`: raised when an older program must not write the table."""

FORMAT_PROPERTY = "k2.format"

DECIMAL = DecimalType(18, 8)
"""Prices and quantities, as in the Avro schemas: 10 digits before the point, 8 after."""

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


_Column = tuple[int, str, IcebergType, bool]
"""Id (any, unique in its table), name, type, required."""

_TEXT = StringType()
_LONG = LongType()
_TIME = TimestamptzType()

_COORDINATES: tuple[_Column, ...] = (
    (40, "log_id", _TEXT, True),
    (41, "topic", _TEXT, True),
    (42, "partition", IntegerType(), True),
    (43, "offset", _LONG, True),
)

_KNOWN: tuple[_Column, ...] = (
    (38, "committed_at", _TIME, True),
    (39, "commit_id", _TEXT, True),
)

_SOURCE: tuple[_Column, ...] = (
    (20, "ingested_at", _TIME, True),
    (21, "load_id", _TEXT, False),
    (22, "source_line", _LONG, False),
    (23, "attributes", MapType(50, _TEXT, 51, _TEXT, value_required=True), False),
)

_CHECKED: tuple[_Column, ...] = (
    (30, "sequence_flag", _TEXT, True),
    (31, "epoch", IntegerType(), True),
    (32, "trading_date", DateType(), True),
)

_TRADES: tuple[_Column, ...] = (
    (1, "symbol", _TEXT, True),
    (2, "exchange", _TEXT, True),
    (3, "asset_class", _TEXT, True),
    (4, "timestamp", _TIME, True),
    (5, "price", DECIMAL, True),
    (6, "quantity", DECIMAL, True),
    (7, "currency", _TEXT, True),
    (8, "side", _TEXT, True),
    (9, "trade_id", _TEXT, False),
    (10, "conditions", ListType(52, _TEXT, element_required=True), True),
    (11, "sequence", _LONG, False),
)

_QUOTES: tuple[_Column, ...] = (
    *_TRADES[:4],
    (5, "bid_price", DECIMAL, False),
    (6, "bid_quantity", DECIMAL, False),
    (7, "ask_price", DECIMAL, False),
    (8, "ask_quantity", DECIMAL, False),
    (9, "currency", _TEXT, True),
    *_TRADES[9:],
)

_REFERENCE_DATA: tuple[_Column, ...] = (
    (1, "company_id", _TEXT, True),
    (2, "symbol", _TEXT, True),
    (3, "exchange", _TEXT, True),
    (4, "asset_class", _TEXT, True),
    (5, "name", _TEXT, False),
    (6, "isin", _TEXT, False),
    (7, "currency", _TEXT, True),
    (8, "listed_from", DateType(), False),
    (9, "listed_to", DateType(), False),
)

_GAPS: tuple[_Column, ...] = (
    (1, "event", _TEXT, True),
    (2, "exchange", _TEXT, True),
    (3, "asset_class", _TEXT, True),
    (4, "data_type", _TEXT, True),
    (5, "symbol", _TEXT, True),
    (6, "trading_date", DateType(), False),
    (7, "epoch", IntegerType(), True),
    (8, "from_sequence", _LONG, True),
    (9, "to_sequence", _LONG, True),
    (10, "missing", _LONG, True),
    (11, "severity", _TEXT, True),
    (12, "timestamp", _TIME, True),
    (13, "event_index", IntegerType(), True),
)

_DEAD_LETTERS: tuple[_Column, ...] = (
    (1, "reason", _TEXT, True),
    (2, "schema_id", IntegerType(), False),
    (3, "log_timestamp", _TIME, True),
    (4, "key", BinaryType(), False),
    (5, "value", BinaryType(), False),
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

_LOADS: tuple[_Column, ...] = (
    (1, "load_id", _TEXT, True),
    (2, "state", _TEXT, True),
    (3, "recorded_at", _TIME, True),
    (4, "file", _TEXT, True),
    (5, "file_sha256", _TEXT, True),
    (6, "file_bytes", _LONG, True),
    (7, "exchange", _TEXT, True),
    (8, "data_type", _TEXT, True),
    (9, "profile", _TEXT, True),
    (10, "sequence_mode", _TEXT, True),
    (11, "symbol", _TEXT, False),
    (12, "rows", _LONG, True),
    (13, "rejects", _LONG, True),
    (14, "rejects_file", _TEXT, False),
    (15, "numbers", ListType(60, _NUMBERS, element_required=True), True),
    (16, "sent", ListType(61, _SENT, element_required=True), True),
    (17, "log_id", _TEXT, True),
    (18, "reason", _TEXT, False),
)


def _spec(name: Name, columns: tuple[_Column, ...], day: str | None, sort: tuple[str, ...]) -> TableSpec:
    schema = assign_fresh_schema_ids(Schema(*(NestedField(i, n, t, required=r) for i, n, t, r in columns)))
    source = {field.name: field.field_id for field in schema.fields}
    partition = PartitionSpec()
    if day is not None:
        partition = PartitionSpec(
            PartitionField(source[day], PARTITION_FIELD_ID, DayTransform(), f"{day}_day"),
        )
    order = SortOrder(*(SortField(source[n], IdentityTransform()) for n in sort))
    return TableSpec(name, schema, partition, order)


_PLACE = ("log_id", "topic", "partition", "offset")
_TAIL = (*_SOURCE, *_CHECKED, *_KNOWN, *_COORDINATES)

SPECS: dict[Name, TableSpec] = {
    spec.name: spec
    for spec in (
        _spec(Name.TRADES, (*_TRADES, *_TAIL), "timestamp", ("symbol", "timestamp", "sequence", *_PLACE)),
        _spec(Name.QUOTES, (*_QUOTES, *_TAIL), "timestamp", ("symbol", "timestamp", "sequence", *_PLACE)),
        _spec(
            Name.REFERENCE_DATA,
            (*_REFERENCE_DATA, *_SOURCE, *_KNOWN, *_COORDINATES),
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
