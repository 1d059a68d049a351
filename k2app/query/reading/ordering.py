"""The total order of rows, made with numpy: by time at once, by the rest only where times are equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

ORDER = ("timestamp", "sequence", "log_id", "topic", "partition", "offset")
"""The total order. Only `sequence` may be null; nulls stand before every number."""


def order_of(tables: Sequence[pa.Table]) -> Ints:
    """Put the rows of tables in order; at equal times those of the first table come first.

    Parameters
    ----------
    tables
        Each has the columns of `ORDER`; texts may be dictionaries.

    Returns
    -------
    int64[n]
        Row numbers in the concatenation of the tables, in order.

    Notes
    -----
    A stable sort by time is fast, since files are sorted by symbol and time. Ties get a full comparison.
    """
    times = np.concatenate([times_of(table) for table in tables])
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    same = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    if len(rows):
        order[tied] = rows[np.lexsort(_keys(tables, rows, times))]
    return order


def times_of(table: pa.Table) -> Ints:
    """The column `timestamp`, microseconds."""
    times: Ints = table["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return times


def key_at(table: pa.Table, row: int) -> tuple[Any, ...]:
    """Values of `ORDER` of one row; the time in microseconds."""
    one = table.slice(row, 1)
    return (int(times_of(one)[0]), *(one[column][0].as_py() for column in ORDER[1:]))


def keys_of(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """As `key_at`, of every row."""
    rest = (table[column].to_pylist() for column in ORDER[1:])
    return zip(times_of(table).tolist(), *rest, strict=True)


def sortable(key: Sequence[Any]) -> tuple[Any, ...]:
    """A key of `ORDER` as Python compares it: null before numbers."""
    timestamp_us, sequence, *place = key
    return (timestamp_us, sequence is not None, sequence or 0, *place)


def _keys(tables: Sequence[pa.Table], rows: Ints, times: Ints) -> list[Ints]:
    """Columns for `lexsort`, the most important last; columns with one value say nothing and are left out."""
    ends = np.cumsum([table.num_rows for table in tables])
    which = np.searchsorted(ends, rows, side="right")
    mask = np.zeros(len(times), np.bool_)
    mask[rows] = True
    # Rows of the concatenation in its own order, then as `rows` has them.
    place = np.cumsum(mask)[rows] - 1
    starts = [0, *ends.tolist()]
    tied = [
        t.select(ORDER).filter(pa.array(mask[a:b]))
        for t, a, b in zip(tables, starts, starts[1:], strict=False)
    ]
    keys = [_column(tied, name)[place] for name in reversed(ORDER[3:])]
    keys += [
        _column(tied, "log_id")[place],
        *(column[place] for column in _sequence(tied)),
        which,
        times[rows],
    ]
    return [key for key in keys if len(key) and (key != key[0]).any()] or [times[rows]]


def _sequence(tables: Sequence[pa.Table]) -> tuple[Ints, Ints]:
    whole = _joined(tables, "sequence").cast(pa.int64())
    return whole.fill_null(0).to_numpy(zero_copy_only=False), whole.is_valid().to_numpy(zero_copy_only=False)


def _column(tables: Sequence[pa.Table], name: str) -> Ints:
    whole = _joined(tables, name)
    if pa.types.is_integer(whole.type):
        numbers: Ints = whole.cast(pa.int64()).to_numpy()
        return numbers
    encoded = whole.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    ranks = np.empty(len(texts), np.int64)
    # Python orders texts by code point, which is the order of their UTF-8.
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    ranked: Ints = ranks[encoded.indices.to_numpy()]
    return ranked


def _joined(tables: Sequence[pa.Table], name: str) -> Any:
    arrays = [chunk for table in tables for chunk in table[name].chunks]
    plain = [a.cast(a.type.value_type) if pa.types.is_dictionary(a.type) else a for a in arrays]
    return pa.concat_arrays(plain)
