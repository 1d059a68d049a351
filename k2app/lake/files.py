"""Data files: sorted Parquet with Iceberg's field ids and statistics.

A file holds one day of one table, sorted by the table's sort columns. pyiceberg's own writer does not sort, and
casts dictionaries to strings first; this one keeps them, which is most of its speed. The files read as plain
strings all the same: the Arrow schema is not stored in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType, ListType, MapType, StringType

from k2app import logs
from k2app.lake.catalog import reading
from k2app.lake.sorting import sort_indices
from k2app.lake.tables import TableSpec

ROW_GROUP_ROWS = 32_768
"""Rows per Parquet row group, at most: point queries take less than half the time of the default (1 M rows)."""

DAY_US = 86_400_000_000
"""Microseconds of a UTC day, the unit of the tables' partitions."""

HIGH_CARDINALITY: Final = frozenset({"timestamp", "sequence", "trade_id", "source_line", "offset"})
"""Columns of which nearly every value is different: trying a dictionary on them costs time and saves nothing."""

DELTA: Final = frozenset({"timestamp", "sequence", "source_line", "offset"})
"""Integers of which neighbours are close in a sorted file: as differences, files are a tenth smaller and DuckDB sums
these columns in half the time."""


def write_files(table: Table, spec: TableSpec, rows: pa.Table) -> list[DataFile]:
    """Write `rows` as data files of `table`, one per day, each sorted; none for no rows.

    Nothing refers to the files until they are committed. If one fails, those written before are deleted.

    Parameters
    ----------
    rows
        Every column of the table, by name, in any order; strings may be plain, large or dictionaries.

    Raises
    ------
    ValueError
        A column is missing, unknown or of a type that does not fit.
    TransientError
        The warehouse cannot be written.
    """
    files: list[DataFile] = []
    try:
        with reading(f"files of {'.'.join(table.name())}"):
            for key, part in _sorted_parts(table, spec, _conform(table, rows)):
                files.append(_write(table, key, part))
    except BaseException:
        delete_files(table, files)
        raise
    return files


def delete_files(table: Table, files: Iterable[DataFile]) -> None:
    """Delete data files that no snapshot refers to. Best effort: what is left costs space only."""
    delete_paths(table, (file.file_path for file in files))


def delete_paths(table: Table, paths: Iterable[str]) -> None:
    """Delete files of `table`, by location. Best effort."""
    for path in paths:
        try:
            table.io.delete(path)
            logs.get(__name__).info("file_deleted", file=path)
        except OSError as error:
            logs.get(__name__).warning("orphan_left", file=path, error=str(error))


def _sorted_parts(
    table: Table, spec: TableSpec, rows: pa.Table
) -> Iterator[tuple[PartitionKey | None, pa.Table]]:
    """Rows of each partition, sorted, with the partition's key (None if the table is not partitioned)."""
    if rows.num_rows == 0:
        return
    days = _days(table, rows)
    keys = [pa.array(days), *(_whole(rows[name]) for name in spec.sort_columns)]
    order = sort_indices(keys)
    rows = rows.take(pa.array(order))
    days = days[order]
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), rows.num_rows]
    for start, end in pairwise(edges):
        yield _partition_key(table, int(days[start])), rows.slice(start, end - start)


def _days(table: Table, rows: pa.Table) -> Any:
    """Day number (since 1970-01-01, int64) of each row's partition; 0 if the table is not partitioned."""
    if table.spec().is_unpartitioned():
        return np.zeros(rows.num_rows, dtype=np.int64)
    column = table.schema().find_column_name(table.spec().fields[0].source_id)
    times = _whole(rows[column]).view(pa.int64()).to_numpy(zero_copy_only=False)
    return times // DAY_US


def _partition_key(table: Table, day: int) -> PartitionKey | None:
    spec = table.spec()
    if spec.is_unpartitioned():
        return None
    return PartitionKey([PartitionFieldValue(spec.fields[0], day)], spec, table.schema())


def _write(table: Table, key: PartitionKey | None, rows: pa.Table) -> DataFile:
    path = table.location_provider().new_data_location(f"{uuid4()}.parquet", key)
    output = table.io.new_output(path)
    with output.create(overwrite=True) as stream:
        writer = pq.ParquetWriter(stream, rows.schema, **_options(table))
        with writer:
            writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
    metadata = writer.writer.metadata
    return _data_file(table, key, path, len(output), metadata)


def _options(table: Table) -> dict[str, Any]:
    names = parquet_path_to_id_mapping(table.schema())
    return {
        "compression": "zstd",
        "store_decimal_as_integer": True,
        "store_schema": False,
        "use_dictionary": [name for name in names if name not in HIGH_CARDINALITY],
        "column_encoding": {name: "DELTA_BINARY_PACKED" for name in names if name in DELTA},
    }


def _data_file(table: Table, key: PartitionKey | None, path: str, size_bytes: int, metadata: Any) -> DataFile:
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=metadata,
        stats_columns=compute_statistics_plan(table.schema(), table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(table.schema()),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record() if key is None else key.partition,
        file_size_in_bytes=size_bytes,
        sort_order_id=table.metadata.default_sort_order_id,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _conform(table: Table, rows: pa.Table) -> pa.Table:
    """Rows in the table's column order, contiguous, with the types and field ids that the file gets."""
    wanted = [field.name for field in table.schema().fields]
    if set(wanted) != set(rows.column_names) or len(wanted) != rows.num_columns:
        missing, unknown = set(wanted) - set(rows.column_names), set(rows.column_names) - set(wanted)
        raise ValueError(f"{'.'.join(table.name())}: missing columns {missing}, unknown columns {unknown}")
    rows = rows.select(wanted).unify_dictionaries().combine_chunks()
    schema = _file_schema(table, rows.schema)
    try:
        return pa.Table.from_arrays(
            [_cast(c, f.type) for c, f in zip(rows, schema, strict=True)], schema=schema
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{'.'.join(table.name())}: {error}") from error


def _cast(column: Any, wanted: Any) -> Any:
    return column if column.type.equals(wanted, check_metadata=True) else column.cast(wanted)


def _file_schema(table: Table, given: pa.Schema) -> pa.Schema:
    standard = schema_to_pyarrow(table.schema(), include_field_ids=True)
    fields = zip(table.schema().fields, standard, given, strict=True)
    return pa.schema(
        [std.with_type(_file_type(ice.field_type, std.type, got.type)) for ice, std, got in fields]
    )


def _file_type(iceberg: IcebergType, standard: Any, given: Any) -> Any:
    """Arrow type that writes as `iceberg`: as given where that is a string of some form, else the standard one."""
    if isinstance(iceberg, StringType) and _writes_as_string(given):
        return given
    if isinstance(iceberg, ListType) and pa.types.is_list(given):
        return pa.list_(_nested(standard.value_field, iceberg.element_type, given.value_type))
    if isinstance(iceberg, MapType) and pa.types.is_map(given):
        key = _nested(standard.key_field, iceberg.key_type, given.key_type)
        return pa.map_(key, _nested(standard.item_field, iceberg.value_type, given.item_type))
    return standard


def _nested(standard: Any, iceberg: IcebergType, given: Any) -> Any:
    # dictionaries within lists do not cast; none arrive
    plain = given if not pa.types.is_dictionary(given) else standard.type
    return standard.with_type(_file_type(iceberg, standard.type, plain))


def _writes_as_string(given: Any) -> bool:
    value = given.value_type if pa.types.is_dictionary(given) else given
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


def _whole(column: Any) -> Any:
    """One contiguous array of a chunked column."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def counts_by(column: Any) -> Mapping[str, int]:
    """Rows by value of a string or dictionary column, in order of value."""
    found = {count["values"].as_py(): count["counts"].as_py() for count in column.value_counts()}
    return dict(sorted(found.items()))
