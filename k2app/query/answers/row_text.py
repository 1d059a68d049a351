"""Rows as text, put together from fragments: what stands in many rows is written once, and taken where it stands.

A row is a sequence of fragments, the same number in every row. All of them are taken from one array of the distinct
texts, row by row, in one step of Arrow's: what it copies them into already is the text of the rows, so that a value
costs about four nanoseconds and its bytes, a third of what joining columns costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places = npt.NDArray[np.integer[Any]]

FEW = 4
"""Values that stand in a column so many times on average are written once each."""


@dataclass(frozen=True)
class Fragment:
    """What stands at one place of every row.

    Parameters
    ----------
    values
        Texts (large_string); null is an empty text.
    places
        For each row the number of its text.
    """

    values: pa.Array
    places: Places


Text = str | Fragment
"""A text that is the same in every row, or a fragment."""


def each_its_own(values: pa.Array) -> Fragment:
    """The fragment of a text for each row."""
    return Fragment(values, np.arange(len(values), dtype=np.int32))


def to_rows(texts: Iterable[Text], rows: int) -> pa.Array:
    """Put the fragments of each row together.

    Returns
    -------
    large_string[rows]
        None is null. It begins at the start of its buffers, and these hold nothing else.
    """
    return merged_rows([(texts, rows)], np.zeros(rows, np.int64))


def merged_rows(tables: Sequence[tuple[Iterable[Text], int]], which: Places) -> pa.Array:
    """As `to_rows`, of rows of several tables.

    Parameters
    ----------
    tables
        Of each its fragments, and how many rows it has.
    which
        For each row of the result the number of its table; each table's rows stay in order.
    """
    drawn = [_drawn(texts, rows) for texts, rows in tables]
    width = max(places.shape[1] for _, places in drawn)
    if width == 0:
        return pa.array([""] * len(which), pa.large_string())
    if len(drawn) == 1:
        return _taken(*drawn[0])
    # A row with fewer fragments than another gets empty ones at its end: text number 0.
    places = np.zeros((len(which), width), np.int64)
    first = 1
    for number, (values, own) in enumerate(drawn):
        places[which == number, : own.shape[1]] = own + first
        first += len(values)
    return _taken(pa.concat_arrays([texts_of(""), *(values for values, _ in drawn)]), places)


def instead_of_nulls(texts: Sequence[Text], column: pa.Array, null: str) -> list[Text]:
    """The fragments of a column, with one text for all of them where the column is null."""
    mask = column.is_null().to_numpy(zero_copy_only=False)
    return [_masked(text, mask, null if number == 0 else "") for number, text in enumerate(texts)]


def text_view(texts: pa.Array) -> memoryview:
    """All texts (large_string, none null) one after the other in UTF-8, as they lie in memory."""
    offsets = text_offsets(texts)
    data = texts.buffers()[2]
    return memoryview(b"") if data is None else memoryview(data)[int(offsets[0]) : int(offsets[-1])]


def text_offsets(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Where each text (large_string) starts in its buffer, and the last one ends."""
    if len(texts) == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]


def texts_of(*values: str) -> pa.Array:
    """An array of texts that are known beforehand."""
    return pa.array(values, pa.large_string())


def _merged(texts: Iterable[Text], rows: int) -> Iterator[Text]:
    """Neighbours as one, where that is cheap: a text that all rows have goes into the few that follow it."""
    held = ""
    for text in texts:
        if isinstance(text, str):
            held += text
        elif len(text.values) == 1:
            held += text.values[0].as_py() or ""
        elif held and len(text.values) * FEW <= rows:
            yield Fragment(_after(held, text.values), text.places)
            held = ""
        else:
            if held:
                yield held
            yield text
            held = ""
    if held:
        yield held


def _after(text: str, values: pa.Array) -> pa.Array:
    found = pc.coalesce(values, _NOTHING) if values.null_count else values
    return pc.binary_join_element_wise(pa.scalar(text, pa.large_string()), found, _NOTHING)


def _drawn(texts: Iterable[Text], rows: int) -> tuple[pa.Array, Places]:
    """All texts of a table, and for each row the numbers of its own, one after the other."""
    merged = list(_merged(texts, rows))
    fragments = [text for text in merged if isinstance(text, Fragment)]
    fixed = pa.array([text for text in merged if isinstance(text, str)], pa.large_string())
    values = pa.concat_arrays([fixed, *(one.values for one in fragments)])
    places = np.empty((rows, len(merged)), np.int32 if len(values) <= _MOST else np.int64)
    fixed_at, first = 0, len(fixed)
    for number, text in enumerate(merged):
        if isinstance(text, str):
            places[:, number] = fixed_at
            fixed_at += 1
        else:
            np.add(text.places, first, out=places[:, number], casting="unsafe")
            first += len(text.values)
    return values, places


def _taken(values: pa.Array, places: Places) -> pa.Array:
    rows, width = places.shape
    if not rows:
        return pa.array([], pa.large_string())
    taken = values.take(pa.array(places.reshape(-1)))
    ends = np.ascontiguousarray(text_offsets(taken)[::width])
    return pa.Array.from_buffers(pa.large_string(), rows, [None, pa.py_buffer(ends), taken.buffers()[2]])


def _masked(text: Text, mask: npt.NDArray[np.bool_], null: str) -> Fragment:
    if isinstance(text, str):
        return Fragment(pa.array([text, null], pa.large_string()), mask.astype(np.int32))
    values = pa.concat_arrays([text.values, pa.array([null], pa.large_string())])
    return Fragment(values, np.where(mask, len(text.values), text.places))


_MOST = np.iinfo(np.int32).max


_NOTHING = pa.scalar("", pa.large_string())
