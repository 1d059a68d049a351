"""Batches as rows of Python's own types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa

from k2app.query.times import EPOCH

PIECE_ROWS = 8_192
"""Rows turned at once: Python's values take many times the memory of Arrow's."""


def to_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows as dicts: decimals as Decimal, times as datetime in UTC, maps as dict."""
    names = batch.schema.names
    for start in range(0, batch.num_rows, PIECE_ROWS):
        columns = map(_values, batch.slice(start, PIECE_ROWS).columns)
        for row in zip(*columns, strict=True):
            yield dict(zip(names, row, strict=True))


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and (kind.unit, kind.tz) == ("us", "UTC"):
        # pyarrow takes ten times as long for each.
        micros = column.cast(pa.int64()).to_pylist()
        return [None if n is None else EPOCH + timedelta(microseconds=n) for n in micros]
    # Asked for dicts, pyarrow goes through every value one by one.
    values: list[Any] = column.to_pylist(maps_as_pydicts="strict") if _has_maps(kind) else column.to_pylist()
    return values


def _has_maps(kind: pa.DataType) -> bool:
    return bool(pa.types.is_map(kind)) or any(_has_maps(kind.field(n).type) for n in range(kind.num_fields))
