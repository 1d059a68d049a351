"""Which rows of an Arrow table meet a filter: the same rows as SQL's WHERE gives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from k2app.query.reading.filters import Filter, Term

Mask = npt.NDArray[np.bool_]

_COMPARED = {
    "=": pc.equal,
    "<>": pc.not_equal,
    ">=": pc.greater_equal,
    "<": pc.less,
    "<=": pc.less_equal,
}

_NUMBERS: dict[str, Any] = {
    "=": np.equal,
    "<>": np.not_equal,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
}

_MICROS = pa.timestamp("us", "UTC")


def can_mask(terms: Filter) -> bool:
    """Whether `mask` knows these conditions."""
    return all(term.operator in _COMPARED or term.operator == "in" for term in terms)


def has_digits(term: Term, arrow: pa.Schema) -> bool:
    """Whether a condition's decimal is one that the column could hold: of an older snapshot's narrower column not."""
    if not isinstance(term.value, Decimal):
        return True
    try:
        pa.scalar(term.value, arrow.field(term.column).type)
    except pa.ArrowInvalid:
        return False
    return True


def mask(rows: pa.Table, terms: Filter) -> Mask:
    """Which rows meet all of the terms.

    Parameters
    ----------
    rows
        Has their columns; texts may be dictionaries, which are looked at once for each value.
    """
    found: Mask = np.ones(rows.num_rows, np.bool_)
    for term in terms:
        found &= _chunked(rows[term.column], term)
    return found


def _chunked(column: pa.ChunkedArray, term: Term) -> Mask:
    parts = [
        _of_dictionary(c, term) if pa.types.is_dictionary(c.type) else _of(c, term) for c in column.chunks
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _of_dictionary(column: Any, term: Term) -> Mask:
    met = _of(column.dictionary, term)
    # Null has a place of its own: -1, the last.
    met = np.append(met, term.or_null)
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    found: Mask = met[codes]
    return found


def _of(column: Any, term: Term) -> Mask:
    if term.is_time and column.null_count == 0 and column.type == _MICROS:
        times = column.view(pa.int64()).to_numpy()
        at_once: Mask = _NUMBERS[term.operator](times, term.value)
        return at_once
    if isinstance(term.value, tuple):
        met = pc.and_(pc.is_in(column, value_set=pa.array(term.value, column.type)), column.is_valid())
    else:
        met = _COMPARED[term.operator](column, pa.scalar(term.value, column.type))
    found: Mask = met.fill_null(term.or_null).to_numpy(zero_copy_only=False)
    return found
