"""Numbers for lists, maps and structs: equal values have the same, so that each is written once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

MOST = 2**62
"""Numbers below it are told apart; with one more they are still of 64 bits."""


def codes_of(column: pa.Array) -> Ints | None:
    """A number for each value, the same for equal ones only; None: they do not fit into 64 bits."""
    found = _codes(column)
    return None if found is None else found[0]


def _codes(column: pa.Array) -> tuple[Ints, int] | None:
    """Numbers, and the first that is larger than all."""
    kind = column.type
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = _of_lists(column)
    elif pa.types.is_struct(kind):
        found = _product(column.flatten())
    elif pa.types.is_dictionary(kind):
        return _codes(column.cast(kind.value_type))
    else:
        encoded = column.dictionary_encode(null_encoding="encode")
        return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)
    if found is None or not column.null_count:
        return found
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(valid, found[0] + 1, 0), found[1] + 1


def _product(columns: list[pa.Array]) -> tuple[Ints, int] | None:
    codes: Any = np.zeros(len(columns[0]) if columns else 0, np.int64)
    most = 1
    for column in columns:
        found = _codes(column)
        if found is None or most * found[1] > MOST:
            return None
        codes, most = codes * found[1] + found[0], most * found[1]
    return codes, most


def _of_lists(column: pa.Array) -> tuple[Ints, int] | None:
    """The numbers of a list's items as digits of one, none of which is 0: so lists of any length differ."""
    offsets = column.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    is_map = pa.types.is_map(column.type)
    children = [column.keys, column.items] if is_map else [column.values]
    found = _product([child.slice(first, last - first) for child in children])
    if found is None:
        return None
    items, base = found[0] + 1, found[1] + 1
    starts, lengths = offsets[:-1] - first, np.diff(offsets)
    longest = int(lengths.max(initial=0))
    if base**longest > MOST:
        return None
    codes = np.zeros(len(column), np.int64)
    for item in range(longest):
        there = lengths > item
        codes[there] = codes[there] * base + items[starts[there] + item]
    return codes, base**longest
