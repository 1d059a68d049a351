"""Side tables (dead letters, gaps): what they already have above the main table's floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyiceberg.expressions import BooleanExpression, Or
from pyiceberg.table import Table

from k2app.lake.catalog import reading
from k2app.lake.coordinates import COORDINATES, within
from k2app.lake.floors import Place, Range, floor_in_force
from k2app.lake.tables import Name

IDENTITY: Final[Mapping[Name, tuple[str, ...]]] = {
    Name.DEAD_LETTERS: COORDINATES,
    Name.GAPS: (*COORDINATES, "event_index"),
}
"""Columns that identify a row of a side table: one record may open and close several gaps."""


def without_known(table: Table, name: Name, rows: pa.Table, ranges: Sequence[Range]) -> pa.Table:
    """Rows that `table` does not have, by coordinates.

    Only offsets below the side table's own floor can be there, so mostly nothing is read.
    """
    floors = floor_in_force(table.metadata)
    spans = [(r.place, r.start, min(r.end, floors.next_offset(r.place))) for r in ranges]
    spans = [span for span in spans if span[1] < span[2]]
    if not spans:
        return rows
    condition = reduce(_either, (within(*span) for span in spans))
    return _anti_join(rows, _read(table, condition, IDENTITY[name]), IDENTITY[name])


def dead_letters_from(table: Table, log_id: str, topic: str, partition: int, start: int) -> set[int]:
    """Offsets of one partition, from `start` on, that `table` (the dead letters) has."""
    place = Place(log_id, topic, partition)
    end = floor_in_force(table.metadata).next_offset(place)
    if end <= start:
        return set()
    return set(_read(table, within(place, start, end), ("offset",))["offset"].to_pylist())


def _read(table: Table, condition: BooleanExpression, columns: tuple[str, ...]) -> pa.Table:
    with reading(f"table {'.'.join(table.name())}"):
        return table.scan(row_filter=condition, selected_fields=columns).to_arrow()


def _either(left: BooleanExpression, right: BooleanExpression) -> BooleanExpression:
    return Or(left, right)


def _anti_join(rows: pa.Table, known: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Rows of which the keys are not in `known`, in their order."""
    mine = _plain(rows.select(keys)).append_column("row", pa.array(np.arange(rows.num_rows)))
    left = mine.join(_plain(known.select(keys)), keys=list(keys), join_type="left anti")
    return rows.take(left["row"].combine_chunks().sort())


def _plain(keys: pa.Table) -> pa.Table:
    """Keys with dictionaries and large strings as strings: joins take equal types only."""
    return pa.table({name: _plain_column(keys[name]) for name in keys.column_names})


def _plain_column(column: Any) -> Any:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return column.cast(pa.string()) if pa.types.is_string(kind) or pa.types.is_large_string(kind) else column
