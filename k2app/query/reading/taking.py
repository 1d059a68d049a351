"""Rows taken out of a table, in any order: as Arrow's `take`, and faster where that is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from k2app.query.reading.ordering import Ints


def take_rows(table: pa.Table, rows: Ints) -> pa.Table:
    """Take rows.

    Parameters
    ----------
    table
        Each column in one piece, or none.
    rows
        Their numbers.
    """
    if not table.num_rows:
        return table
    wanted = pa.array(rows)
    columns = [_taken(column.chunk(0), rows, wanted) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def is_one_text(column: pa.Array) -> bool:
    """Whether a dictionary column has the same value in every row."""
    return pa.types.is_dictionary(column.type) and len(column.dictionary) == 1 and not column.null_count


def _taken(column: pa.Array, rows: Ints, wanted: pa.Array) -> pa.Array:
    if is_one_text(column) and len(rows) <= len(column):
        return column.slice(0, len(rows))
    if pa.types.is_map(column.type) and not column.null_count:
        offsets, items = _items(column, rows)
        keys, values = column.keys.take(items), column.items.take(items)
        return pa.MapArray.from_arrays(offsets, keys, values, column.type)
    return column.take(wanted)


def _items(column: Any, rows: Ints) -> tuple[pa.Array, pa.Array]:
    """Offsets of the maps that are taken, and the numbers of their entries."""
    # Those of a slice point into what it is a slice of, as its keys do.
    offsets = column.offsets.to_numpy()
    starts = offsets[:-1][rows]
    lengths = offsets[1:][rows] - starts
    ends = np.concatenate(([0], np.cumsum(lengths)))
    items = np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])
    return pa.array(ends.astype(np.int32)), pa.array(items)
