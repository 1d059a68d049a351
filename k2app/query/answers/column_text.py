"""Values of a column as text, in fragments of rows: exact, and without a loop over them.

Decimals come out in plain notation without trailing zeros, times as ISO-8601 with microseconds and Z, int64 as
integers; no value passes through a float.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.query.answers.digit_text import INT64_DIGITS, decimal_texts, filled, timestamp_texts
from k2app.query.answers.nested_codes import codes_of
from k2app.query.answers.row_text import (
    FEW,
    Fragment,
    Text,
    each_its_own,
    instead_of_nulls,
    texts_of,
    to_rows,
)
from k2app.query.answers.string_text import csv_fields, is_odd_in_csv, is_odd_in_json, json_strings, wrapped

PROBED_ROWS, PROBED_VALUES = 256, 64
"""A column with more values than this in its first rows is not looked through for few: that is dear where none are."""

SMALL_ROWS = 2_048
"""Values that are written one by one rather than looked through for equal ones."""


@dataclass(frozen=True)
class Form:
    """How values are written.

    Parameters
    ----------
    null
        What stands for null.
    quote
        Before and after times, decimals and plain strings.
    strings
        Strings (large_string) as they stand in a row, with quotes.
    odd
        Whether some of these strings need more than `quote` before and after them.
    numbers
        Decimals without `quote`.
    """

    null: str
    quote: str
    strings: Callable[[pa.Array], pa.Array]
    odd: Callable[[pa.Array], bool]
    numbers: bool = False


def column_texts(column: pa.Array, form: Form) -> list[Text]:
    """Each value as text; null as the form has it."""
    if pa.types.is_dictionary(column.type):
        return [_of_dictionary(column, form)]
    if column.null_count == len(column):
        return [form.null]
    texts = _texts(column, form)
    return instead_of_nulls(texts, column, form.null) if column.null_count else texts


def plain_text(column: pa.Array) -> pa.Array:
    """Each value as text (large_string), null as null; lists and maps as JSON."""
    texts = to_rows(column_texts(column, PLAIN), len(column))
    return pc.if_else(column.is_valid(), texts, pa.scalar(None, pa.large_string()))


def _of_dictionary(column: pa.DictionaryArray, form: Form) -> Fragment:
    values = _whole_texts(column.dictionary, form)
    if not column.indices.null_count:
        return Fragment(values, column.indices.to_numpy())
    return Fragment(
        pa.concat_arrays([values, texts_of(form.null)]), filled(column.indices, len(column.dictionary))
    )


def _whole_texts(column: pa.Array, form: Form) -> pa.Array:
    """Each value as text, null as the form has it."""
    return to_rows(column_texts(column, form), len(column))


def _texts(column: pa.Array, form: Form) -> list[Text]:
    """Each value as text; anything for null."""
    column = _narrowed(column)
    kind = column.type
    if pa.types.is_nested(kind):
        return [_nested(column, form)]
    if _is_slow(kind):
        return [_mapped(column, form)]
    if (found := _few(column)) is not None:
        return [Fragment(_whole_texts(found.dictionary, form), filled(found.indices, 0))]
    return _many(column, form)


def _few(column: pa.Array) -> pa.DictionaryArray | None:
    """The column as a dictionary, where that has few values."""
    rows = len(column)
    if rows < SMALL_ROWS:
        return None
    if len(column.slice(0, PROBED_ROWS).dictionary_encode().dictionary) > PROBED_VALUES:
        return None
    encoded = column.dictionary_encode()
    return encoded if len(encoded.dictionary) * FEW <= rows else None


def _many(column: pa.Array, form: Form) -> list[Text]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _strings(column.cast(pa.large_string()), form)
    if pa.types.is_timestamp(kind):
        return [form.quote, *timestamp_texts(column), form.quote]
    if pa.types.is_decimal(kind):
        quote = "" if form.numbers else form.quote
        return [quote, *decimal_texts(column, _bare), quote]
    bare = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    quote = "" if bare else form.quote
    return [quote, each_its_own(column.cast(pa.large_string())), quote]


def _bare(column: pa.Array) -> list[Text]:
    return _texts(column, PLAIN)


def _strings(texts: pa.Array, form: Form) -> list[Text]:
    if form.odd(texts):
        return [each_its_own(form.strings(texts))]
    return [form.quote, each_its_own(texts), form.quote]


def _narrowed(column: pa.Array) -> pa.Array:
    """A wide decimal column with as many digits as are written fast, where its values have no more."""
    kind = column.type
    if not pa.types.is_decimal(kind) or kind.precision <= INT64_DIGITS:
        return column
    try:
        return column.cast(pa.decimal128(INT64_DIGITS, kind.scale))
    except pa.ArrowInvalid:
        return column


def _is_slow(kind: pa.DataType) -> bool:
    """Whether Arrow does not write the type as it should be."""
    is_wide = pa.types.is_decimal(kind) and kind.precision > INT64_DIGITS
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_floating(kind) or is_wide
    )


def _mapped(column: pa.Array, form: Form) -> Fragment:
    """Text of each distinct value."""
    encoded = column.dictionary_encode()
    quote = "" if form.numbers and pa.types.is_decimal(column.type) else form.quote
    texts = [f"{quote}{_slow_text(value)}{quote}" for value in encoded.dictionary.to_pylist()]
    return Fragment(pa.array(texts, pa.large_string()), filled(encoded.indices, 0))


def _slow_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return repr(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _nested(column: pa.Array, form: Form) -> Fragment:
    """Lists and maps as JSON; those that are equal once."""
    as_json = replace(JSON, numbers=form.numbers)
    codes = codes_of(column) if len(column) >= SMALL_ROWS else None
    if codes is not None:
        encoded = pa.array(codes).dictionary_encode()
        if len(encoded.dictionary) * FEW <= len(column):
            places = encoded.indices.to_numpy()
            firsts = np.empty(len(encoded.dictionary), np.int64)
            firsts[places[::-1]] = np.arange(len(places))[::-1]
            return Fragment(_framed(_nested_texts(column.take(pa.array(firsts)), as_json), form), places)
    return each_its_own(_framed(_nested_texts(column, as_json), form))


def _framed(texts: pa.Array, form: Form) -> pa.Array:
    """JSON within another form."""
    return texts if form.null == JSON.null else form.strings(texts)


def _nested_texts(column: pa.Array, form: Form) -> pa.Array:
    if pa.types.is_map(column.type):
        offsets, entries = _entries(column)
        keys, values = (column_texts(part, form) for part in entries.flatten())
        return wrapped("{", _joined(column, offsets, to_rows([*keys, ":", *values], len(entries))), "}")
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        offsets, values = _entries(column)
        return wrapped("[", _joined(column, offsets, _whole_texts(values, form)), "]")
    names = [field.name for field in column.type]
    return to_rows(object_texts(names, column.flatten(), form), len(column))


def object_texts(names: Sequence[str], columns: Sequence[pa.Array], form: Form, head: str = "") -> list[Text]:
    """Fragments of a JSON object for each row.

    Parameters
    ----------
    head
        Members that every object begins with, as JSON: `"record":"trades"`.
    """
    texts: list[Text] = ["{", head]
    for number, (name, column) in enumerate(zip(names, columns, strict=True)):
        comma = "," if number or head else ""
        texts += [f"{comma}{json.dumps(name, ensure_ascii=False)}:", *column_texts(column, form)]
    return [*texts, "}"]


def _entries(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets that start at 0, and the child values that they point into."""
    raw = column.offsets
    first, last = raw[0].as_py(), raw[-1].as_py()
    child = pa.StructArray.from_arrays([column.keys, column.items], ["key", "value"]) if pa.types.is_map(
        column.type
    ) else column.values  # fmt: skip
    return pc.subtract(raw, pa.scalar(first, raw.type)).cast(pa.int64()), child.slice(first, last - first)


def _joined(column: pa.Array, offsets: pa.Array, texts: pa.Array) -> pa.Array:
    # binary_join takes small lists of small strings only; a page's fit.
    lists = pa.ListArray.from_arrays(offsets.cast(pa.int32()), texts.cast(pa.string()))
    joined = pc.binary_join(lists, ",")
    return pc.if_else(column.is_valid(), joined.cast(pa.large_string()), pa.scalar(None, pa.large_string()))


JSON = Form("null", '"', json_strings, is_odd_in_json)

CSV = Form("", "", csv_fields, is_odd_in_csv)

PLAIN = Form("", "", lambda texts: texts, lambda _: False)
