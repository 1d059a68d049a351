"""Results as JSON and CSV: exact, and a column at a time.

Decimals come out in plain notation without trailing zeros, times as ISO-8601 with microseconds and Z, int64 as
integers; no value passes through a float.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.query.answers.result import Result
from k2app.query.answers.stream import Stream
from k2app.query.times import micros_to_text

INT64_DIGITS = 18
"""Digits of a decimal whose unscaled value always fits int64."""

FEW = 4
"""Values that stand in a column so many times on average are written once each."""

_NULL = pa.scalar("null", pa.large_string())

_NOTHING = pa.scalar("", pa.large_string())


def to_json(result: Result, *, numbers: bool = False) -> bytes:
    """Write a result as one JSON object in UTF-8: rows, snapshots, as_of, next, warnings.

    Parameters
    ----------
    numbers
        Decimals as JSON numbers of the same digits instead of strings.
    """
    rows = b",\n".join(json_rows(result.rows, numbers=numbers))
    said = about(result)
    rest = {"snapshots": said["snapshots"], "as_of": said["as_of"], "next": result.next, **said}
    tail = json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode()
    return b'{"rows":[' + rows + b"]," + tail[1:]


def about(answer: Result | Stream) -> dict[str, object]:
    """What is said of the rows, as JSON: snapshots, as_of, warnings."""
    return {
        "snapshots": dict(answer.snapshots),
        "as_of": None if answer.as_of_us is None else micros_to_text(answer.as_of_us),
        "warnings": [{"code": w.code, "message": w.message, "count": w.count} for w in answer.warnings],
    }


def json_rows(rows: pa.Table, *, numbers: bool = False) -> list[bytes]:
    """Write each row as a JSON object in UTF-8, keys in the order of the columns."""
    if rows.num_rows == 0 or rows.num_columns == 0:
        return []
    values: list[bytes] = json_texts(rows, numbers=numbers).cast(pa.large_binary()).to_pylist()
    return values


def json_texts(rows: pa.Table, *, numbers: bool = False, head: str = "", end: str = "") -> pa.Array:
    """Write each row as a JSON object (large_string), keys in the order of the columns.

    Parameters
    ----------
    head
        Members that every row begins with, as JSON: `"record":"trades"`.
    end
        What follows every object.
    """
    pieces: list[Any] = []
    for number, name in enumerate(rows.column_names):
        opening = f"{{{head}{',' if head else ''}" if number == 0 else ","
        pieces.append(_text_scalar(f"{opening}{json.dumps(name, ensure_ascii=False)}:"))
        pieces.append(_json_column(_whole(rows[name]), numbers))
    if not pieces:
        return pa.array([f"{{{head}}}{end}"] * rows.num_rows, pa.large_string())
    return pc.binary_join_element_wise(*pieces, _text_scalar(f"}}{end}"), _NOTHING)


def text_bytes(texts: pa.Array) -> bytes:
    """All texts (large_string, none null) one after the other in UTF-8, as they lie in memory."""
    offsets = text_offsets(texts)
    data = texts.buffers()[2]
    return b"" if data is None else data[int(offsets[0]) : int(offsets[-1])].to_pybytes()


def text_offsets(texts: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each text (large_string) starts in its buffer, and the last one ends."""
    if len(texts) == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]


def to_csv(result: Result) -> bytes:
    """Write the rows as CSV in UTF-8, with a header. Source: RFC 4180, with plain line feeds.

    Null is empty, an empty text is `""`; lists and maps are JSON.
    """
    lines = [csv_header(result.rows.column_names), *csv_rows(result.rows)]
    return b"\n".join(lines) + b"\n"


def csv_header(names: list[str]) -> bytes:
    """Write the names of columns as a line of CSV, without its end."""
    line: str = ",".join(_csv_fields(pa.array(names, pa.large_string())).to_pylist())
    return line.encode()


def csv_rows(rows: pa.Table) -> list[bytes]:
    """Write each row as a line of CSV in UTF-8, without its end; as `to_csv`."""
    if rows.num_rows == 0 or rows.num_columns == 0:
        return []
    columns = (pc.coalesce(_csv_column(_whole(column)), _NOTHING) for column in rows.columns)
    joined = pc.binary_join_element_wise(*columns, _text_scalar(","))
    lines: list[bytes] = joined.cast(pa.large_binary()).to_pylist()
    return lines


def _csv_column(column: pa.Array) -> pa.Array:
    """Each value as a field; null as null."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _distinct(column, _csv_fields)
    text = plain_text(column)
    return _csv_fields(text) if pa.types.is_nested(kind) else text


def _csv_fields(texts: pa.Array) -> pa.Array:
    """Texts with quotes around those that need them."""
    doubled = pc.replace_substring(texts, '"', '""')
    quoted = pc.binary_join_element_wise(_text_scalar('"'), doubled, _text_scalar('"'), _NOTHING)
    needed = pc.match_substring_regex(texts, '[",\r\n]|^$')
    return pc.if_else(needed, quoted, texts)


def plain_text(column: pa.Array) -> pa.Array:
    """Each value as text (large_string), null as null; lists and maps as JSON."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_timestamp(kind):
        return _few(column, _timestamps)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _mapped(column, lambda value: value.hex())
    if pa.types.is_floating(kind):
        return _mapped(column, repr)
    if pa.types.is_nested(kind):
        return _nested(column, numbers=False)
    return column.cast(pa.large_string())


def _json_column(column: pa.Array, numbers: bool) -> pa.Array:
    """Each value as JSON, null as `null`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return pc.coalesce(_json_column(column.dictionary, numbers).take(column.indices), _NULL)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = _distinct(column, _json_strings)
    elif pa.types.is_nested(kind):
        text = _nested(column, numbers=numbers)
    elif _is_bare(kind, numbers):
        text = plain_text(column)
    else:
        text = pc.binary_join_element_wise(_text_scalar('"'), plain_text(column), _text_scalar('"'), _NOTHING)
    return pc.coalesce(text, _NULL)


def _is_bare(kind: pa.DataType, numbers: bool) -> bool:
    """Whether the type's text is JSON as it stands."""
    return (
        pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
        or (pa.types.is_decimal(kind) and numbers)
    )  # fmt: skip


def _json_strings(texts: pa.Array) -> pa.Array:
    """Strings as JSON has them. Source: RFC 8259, 7."""
    quoted = pc.binary_join_element_wise(_text_scalar('"'), texts, _text_scalar('"'), _NOTHING)
    odd = pc.match_substring_regex(texts, r'["\\\x00-\x1f]')
    if not pc.any(odd).as_py():
        return quoted
    escaped = [json.dumps(text, ensure_ascii=False) for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(quoted, odd, pa.array(escaped, pa.large_string()))


def _distinct(column: pa.Array, text: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Texts of the distinct values, put back in place; columns often have few."""
    encoded = column.cast(pa.large_string()).dictionary_encode()
    return text(encoded.dictionary).take(encoded.indices)


def _mapped(column: pa.Array, text: Callable[[Any], str]) -> pa.Array:
    """Text of each distinct value, put back in place."""
    encoded = column.dictionary_encode()
    values = pa.array([text(value) for value in encoded.dictionary.to_pylist()], pa.large_string())
    return values.take(encoded.indices)


def _few(column: pa.Array, text: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Texts of the values, made once for each where there are few."""
    encoded = column.dictionary_encode()
    if len(encoded.dictionary) * FEW > len(column):
        return text(column)
    return text(encoded.dictionary).take(encoded.indices)


def _decimals(column: pa.Array) -> pa.Array:
    if column.type.precision > INT64_DIGITS:
        return _mapped(column, _decimal_text)
    scale = column.type.scale
    texts = _few(pa.array(_unscaled(column)), lambda unscaled: _scaled(unscaled.to_numpy(), scale))
    return pc.if_else(column.is_valid(), texts, pa.scalar(None, pa.large_string()))


def _scaled(unscaled: np.ndarray[Any, np.dtype[np.int64]], scale: int) -> pa.Array:
    magnitude = np.abs(unscaled)
    whole, fraction = np.divmod(magnitude, 10**scale)
    sign = pc.if_else(pa.array(unscaled < 0), "-", "").cast(pa.large_string())
    padded = pc.utf8_lpad(pa.array(fraction).cast(pa.large_string()), scale, "0")
    point = pc.if_else(pa.array(fraction > 0), ".", "").cast(pa.large_string())
    # Of a zero fraction nothing is left, and no point before it.
    digits = pc.utf8_rtrim(padded, "0")
    return pc.binary_join_element_wise(sign, pa.array(whole).cast(pa.large_string()), point, digits, _NOTHING)


def _unscaled(column: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Lower halves of the 128-bit integers, which hold all of a decimal of at most 18 digits; null as 0."""
    pairs = np.frombuffer(column.buffers()[1], np.int64).reshape(-1, 2)
    low = pairs[column.offset : column.offset + len(column), 0]
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), low, 0)


def _decimal_text(value: Any) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _timestamps(column: pa.Array) -> pa.Array:
    """Arrow writes `2025-01-31 09:30:00.000000` of a time without zone; ours are UTC."""
    unit = "us" if column.type.unit in {"s", "ms", "us"} else "ns"
    text = column.cast(pa.timestamp(unit, column.type.tz)).cast(pa.timestamp(unit)).cast(pa.large_string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), _text_scalar("Z"), _NOTHING)


def _nested(column: pa.Array, *, numbers: bool) -> pa.Array:
    if pa.types.is_map(column.type):
        offsets, entries = _entries(column)
        return _wrapped("{", _joined(column, offsets, _pairs(entries, numbers)), "}")
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        offsets, values = _entries(column)
        return _wrapped("[", _joined(column, offsets, _json_column(values, numbers)), "]")
    names = [field.name for field in column.type]
    table = pa.Table.from_arrays(column.flatten(), names)
    text = pa.array([row.decode() for row in json_rows(table, numbers=numbers)], pa.large_string())
    return pc.if_else(column.is_valid(), text, pa.scalar(None, pa.large_string()))


def _entries(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets that start at 0, and the child values that they point into."""
    raw = column.offsets
    first, last = raw[0].as_py(), raw[-1].as_py()
    child = pa.StructArray.from_arrays([column.keys, column.items], ["key", "value"]) if pa.types.is_map(
        column.type
    ) else column.values  # fmt: skip
    return pc.subtract(raw, pa.scalar(first, raw.type)).cast(pa.int64()), child.slice(first, last - first)


def _pairs(entries: pa.Array, numbers: bool) -> pa.Array:
    keys, values = entries.flatten()
    return pc.binary_join_element_wise(
        _json_column(keys, numbers), _json_column(values, numbers), _text_scalar(":")
    )


def _joined(column: pa.Array, offsets: pa.Array, texts: pa.Array) -> pa.Array:
    # binary_join takes small lists of small strings only; a page's fit.
    lists = pa.ListArray.from_arrays(offsets.cast(pa.int32()), texts.cast(pa.string()))
    joined = pc.binary_join(lists, ",")
    return pc.if_else(column.is_valid(), joined.cast(pa.large_string()), pa.scalar(None, pa.large_string()))


def _wrapped(opening: str, text: pa.Array, closing: str) -> pa.Array:
    return pc.binary_join_element_wise(_text_scalar(opening), text, _text_scalar(closing), _NOTHING)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _text_scalar(text: str) -> Any:
    return pa.scalar(text, pa.large_string())
