"""Texts, names of a few things, lists of words and attributes from cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.load.parsed import Mask, Parsed, mask, octets, refuse
from k2app.load.records import ATTRIBUTES, CONDITIONS, ENUM

_SPACE: Final = 0x20
"""The largest byte that is a space or a control character."""


def said(cells: Sequence[Any], nulls: Sequence[str]) -> Any:
    """What the cells of a field say: trimmed, joined by a space if they are several, null if they say nothing."""
    text = pc.binary_join_element_wise(*cells, " ") if len(cells) > 1 else cells[0]
    data, _ = octets(text)
    if bool((data <= _SPACE).any()):
        text = pc.ascii_trim_whitespace(text)
    nothing = pc.equal(pc.binary_length(text), 0)
    if nulls:
        nothing = pc.or_(nothing, pc.is_in(text, pa.array(nulls, pa.string())))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), text) if pc.any(nothing).as_py() else text


def read_text(text: Any, values: Mapping[str, str]) -> Parsed:
    """Texts as they stand, or through a map of the words that may occur."""
    if not values:
        return Parsed(text, {})
    code = pc.index_in(text, pa.array(list(values), pa.string()))
    found = pa.array(list(values.values()), pa.string()).take(code)
    return Parsed(found, refuse(text, _unknown(text, code), _not_one_of(values)))


def read_enum(text: Any, symbols: Sequence[str], values: Mapping[str, str]) -> Parsed:
    """Names of one of a few things, in capitals or not; a dictionary of all of them."""
    mapped = read_text(text, values)
    code = pc.index_in(mapped.values, pa.array(symbols, pa.string()))
    if code.null_count > mapped.values.null_count:
        code = pc.coalesce(code, pc.index_in(pc.utf8_upper(mapped.values), pa.array(symbols, pa.string())))
    refused = refuse(text, _unknown(mapped.values, code), _not_one_of(symbols))
    return Parsed(
        pa.DictionaryArray.from_arrays(code.cast(pa.int8()), pa.array(symbols)), mapped.refused | refused
    )


def read_constant(text: Any, values: Mapping[str, str], expected: str, what: str) -> Parsed:
    """Texts that must all be the one this load is for."""
    mapped = read_text(text, values)
    other = mask(pc.not_equal(mapped.values, expected))
    return Parsed(
        mapped.values,
        mapped.refused
        | refuse(text, other, lambda cell: f"{cell!r} is not the {what} of this load, {expected!r}"),
    )


def others(text: Any, values: Sequence[str]) -> dict[int, str]:
    """Rows with a text that is none of these, and why they are refused."""
    other = mask(pc.invert(pc.is_in(text, pa.array(values, pa.string()))))
    return refuse(text, other, _not_one_of(values))


def constant_enum(symbol: str, symbols: Sequence[str], rows: int) -> Any:
    """The same name in every row."""
    codes = np.full(rows, symbols.index(symbol), np.int8)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(symbols)).cast(ENUM)


def read_conditions(text: Any, separator: str) -> Any:
    """Lists of words; empty where a row says nothing, never null."""
    pieces = pc.split_pattern(text.fill_null(""), separator)
    words = pc.ascii_trim_whitespace(pc.list_flatten(pieces))
    parents = pc.list_parent_indices(pieces)
    kept = mask(pc.not_equal(words, ""))
    counts = np.bincount(parents.to_numpy()[kept], minlength=len(text))
    offsets = pa.array(np.append(0, np.cumsum(counts)), pa.int32())
    return pa.ListArray.from_arrays(offsets, words.filter(pa.array(kept))).cast(CONDITIONS)


def no_conditions(rows: int) -> Any:
    """An empty list in every row."""
    return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], pa.string()))


def attributes(columns: Mapping[str, Any], rows: int) -> Any:
    """Maps of what the columns say, verbatim; an empty or null cell is left out, and a map without any is null.

    Parameters
    ----------
    columns
        Attribute -> string[rows].
    """
    if not columns:
        return pa.nulls(rows, ATTRIBUTES)
    said_anything = np.column_stack([mask(pc.greater(pc.binary_length(one), 0)) for one in columns.values()])
    row, column = np.nonzero(said_anything)
    keys = pa.array(list(columns), pa.string()).take(pa.array(column))
    values = pa.concat_arrays(list(columns.values())).take(pa.array(column * rows + row))
    counts = said_anything.sum(axis=1)
    offsets = np.append(0, np.cumsum(counts)).astype(np.int32)
    nothing = np.append(counts == 0, False)
    return pa.MapArray.from_arrays(pa.array(offsets, mask=nothing), keys, values)


def _unknown(text: Any, code: Any) -> Mask:
    unknown: Mask = mask(text.is_valid()) & ~mask(code.is_valid())
    return unknown


def _not_one_of(known: Iterable[str]) -> Any:
    return lambda cell: f"{cell!r} is not one of {', '.join(known)}"
