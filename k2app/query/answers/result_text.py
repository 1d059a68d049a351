"""Results as JSON and CSV. How values are written: `k2app.query.answers.column_text`."""

from __future__ import annotations

import json

import pyarrow as pa

from k2app.query.answers.column_text import CSV, JSON, Form, column_texts, object_texts
from k2app.query.answers.result import Result
from k2app.query.answers.row_text import Text, text_view, to_rows
from k2app.query.answers.stream import Stream
from k2app.query.answers.string_text import csv_fields
from k2app.query.times import micros_to_text

TEXT_ROWS = 16_384
"""Rows written as text at once: what is made of them fits into memory used just before, which is twice as fast."""


def to_json(result: Result, *, numbers: bool = False) -> bytes:
    """Write a result as one JSON object in UTF-8: rows, snapshots, as_of, next, warnings.

    Parameters
    ----------
    numbers
        Decimals as JSON numbers of the same digits instead of strings.
    """
    said = about(result)
    rest = {"snapshots": said["snapshots"], "as_of": said["as_of"], "next": result.next, **said}
    tail = json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode()
    rows = in_parts(result.rows)
    texts = [text_view(json_texts(part, numbers=numbers, end=_BETWEEN)) for part in rows]
    if texts:
        texts[-1] = texts[-1][: -len(_BETWEEN)]
    return b"".join([b'{"rows":[', *texts, b"],", tail[1:]])


_BETWEEN = ",\n"
"""Between two rows of a page."""


def about(answer: Result | Stream) -> dict[str, object]:
    """What is said of the rows, as JSON: snapshots, as_of, warnings."""
    return {
        "snapshots": dict(answer.snapshots),
        "as_of": None if answer.as_of_us is None else micros_to_text(answer.as_of_us),
        "warnings": [{"code": w.code, "message": w.message, "count": w.count} for w in answer.warnings],
    }


def json_texts(rows: pa.Table, *, numbers: bool = False, end: str = "") -> pa.Array:
    """Write each row as a JSON object (large_string), keys in the order of the columns, and `end` after it."""
    return to_rows(json_fragments(rows, numbers=numbers, end=end), rows.num_rows)


def json_fragments(rows: pa.Table, *, numbers: bool = False, head: str = "", end: str = "") -> list[Text]:
    """As `json_texts`, in fragments.

    Parameters
    ----------
    head
        Members that every row begins with, as JSON: `"record":"trades"`.
    """
    form = _NUMBERS if numbers else JSON
    columns = [whole(column) for column in rows.columns]
    return [*object_texts(rows.column_names, columns, form, head), end]


_NUMBERS = Form(JSON.null, JSON.quote, JSON.strings, JSON.odd, numbers=True)


def to_csv(result: Result) -> bytes:
    """Write the rows as CSV in UTF-8, with a header. Source: RFC 4180, with plain line feeds.

    Null is empty, an empty text is `""`; lists and maps are JSON.
    """
    lines = (text_view(csv_texts(part)) for part in in_parts(result.rows))
    return b"".join([csv_header(result.rows.column_names), *lines])


def csv_header(names: list[str]) -> bytes:
    """Write the names of columns as a line of CSV."""
    line: str = ",".join(csv_fields(pa.array(names, pa.large_string())).to_pylist())
    return line.encode() + b"\n"


def csv_texts(rows: pa.Table) -> pa.Array:
    """Write each row as a line of CSV (large_string), with its end; as `to_csv`."""
    texts: list[Text] = []
    for number, column in enumerate(rows.columns):
        texts += ["," if number else "", *column_texts(whole(column), CSV)]
    return to_rows([*texts, "\n"], rows.num_rows)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def in_parts(rows: pa.Table) -> list[pa.Table]:
    """The rows, as many at a time as are best written as text."""
    if not rows.num_columns:
        return []
    return [rows.slice(at, TEXT_ROWS) for at in range(0, rows.num_rows, TEXT_ROWS)]
