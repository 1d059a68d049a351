"""The rows of one window of time, in any order: Parquet straight to Arrow where that will do, else by DuckDB.

Both give the same rows; Arrow's reader keeps texts as the dictionaries that they are in the files, which makes it
several times as fast where every column of every row is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyiceberg.io import FileIO

from k2app.errors import TransientError
from k2app.lake.fileio import arrow_files
from k2app.query.reading.filters import Filter, Term, known_until, quoted
from k2app.query.reading.masks import has_digits
from k2app.query.reading.plan import DataFile
from k2app.query.reading.reader import Reader
from k2app.query.reading.taking import is_one_text
from k2app.query.reading.visibility import DUPLICATE, Judgement
from k2app.query.reading.windows import Source, Window, window_terms

DICTIONARIES = frozenset(
    {
        *("symbol", "exchange", "asset_class", "currency", "side", "load_id"),
        *("sequence_flag", "commit_id", "log_id", "topic"),
    }
)
"""Columns of texts that have few values: they stay dictionaries."""

DICTIONARY = pa.dictionary(pa.int32(), pa.string())

_COMPARED = {"=": "__eq__", "<>": "__ne__", ">=": "__ge__", "<": "__lt__", "<=": "__le__"}
"""Methods of Arrow's expressions by operator."""

BATCH_ROWS = 32_768
"""Rows that Arrow decodes at once: a row group. More are read ahead by nobody, or they would all be in memory twice."""


@dataclass(frozen=True)
class WindowRows:
    """Reads rows of one table.

    Parameters
    ----------
    source
        Which rows.
    judged
        What is known of retractions among them.
    duplicates
        Show rows flagged as duplicates too.
    columns
        To read.
    """

    source: Source
    judged: Judgement
    duplicates: bool
    columns: tuple[str, ...]

    def schema(self, reader: Reader) -> pa.Schema:
        """Columns of what is read."""
        arrow = reader.scanner.shape(self.source.found.versions[self.source.table]).arrow
        return dictionary_schema(arrow, self.columns)

    def read(self, reader: Reader, window: Window) -> pa.Table:
        """The rows of a window."""
        found, name = self.source.found, self.source.table
        terms = (*self.source.terms, *window_terms(window), *known_until(found.cut_us(name)))
        arrow = reader.scanner.shape(found.versions[name]).arrow
        schema = dictionary_schema(arrow, self.columns)
        files = reader.files(found, name, terms)
        if not files:
            return schema.empty_table()
        locations = [file.location for file in files]
        shown = (*_needed(terms, files), *self._hiding(reader, terms))
        plain = not self.judged.withdrawn and reader.scanner.is_plain(found.versions[name], locations)
        if plain and all(_is_simple(term, arrow) for term in shown):
            with reader.kept(found):
                return _load(found.versions[name].table.io, locations, shown, schema)
        return _conformed(_columns(self._fetch(reader, window)), schema)

    def _hiding(self, reader: Reader, terms: Filter) -> Filter:
        """What leaves duplicates out; nothing where no file has any: a filter costs as much as reading."""
        duplicates = (*terms, Term("sequence_flag", "=", DUPLICATE))
        if self.duplicates or not reader.files(self.source.found, self.source.table, duplicates):
            return ()
        return (Term("sequence_flag", "<>", DUPLICATE),)

    def _fetch(self, reader: Reader, window: Window) -> pa.Table:
        shown = "NOT retracted" if self.duplicates else "NOT retracted AND NOT duplicate"
        names = ", ".join(map(quoted, self.columns))
        body = f"{self.judged.sql} SELECT {names} FROM judged WHERE {shown}"
        terms = (*self.source.terms, *window_terms(window))
        return reader.query(self.source.found, self.source.table, terms, body, self.judged.parameters)


def dictionary_schema(arrow: pa.Schema, columns: Iterable[str]) -> pa.Schema:
    """Columns of a table, texts of few values as dictionaries."""
    return pa.schema(
        [(name, DICTIONARY if name in DICTIONARIES else arrow.field(name).type) for name in columns]
    )


def _load(file_io: FileIO, locations: list[str], terms: Filter, schema: pa.Schema) -> pa.Table:
    texts = [field.name for field in schema if field.type == DICTIONARY]
    form = ds.ParquetFileFormat(dictionary_columns=texts)
    try:
        where, paths = arrow_files(file_io, locations)
        files = ds.dataset(paths, filesystem=where, format=form, partitioning=None)
        rows = files.to_table(
            columns=schema.names,
            filter=_filter(terms, files.schema),
            batch_size=BATCH_ROWS,
            batch_readahead=2,
            fragment_readahead=1,
            fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=where is not None),
        )
        columns = _columns(rows)
        del rows
    except (OSError, pa.ArrowInvalid) as error:
        raise TransientError(f"a data file could not be read, it may have expired: {error}") from error
    return _conformed(columns, schema)


def _columns(rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(rows.column_names, rows.columns, strict=True))


def _conformed(columns: dict[str, pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    """In the schema's types, each column in one piece, so that taking rows from it is fast.

    Columns are taken out of `columns` one by one: both forms of all of them would be twice the memory.
    """
    return pa.table([_whole(columns.pop(field.name), field.type) for field in schema], schema=schema)


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    if kind == DICTIONARY:
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        column = column.unify_dictionaries()
        if column.type != kind:
            column = column.cast(kind)
        if column.num_chunks and is_one_text(column.chunk(0)) and not column.null_count:
            return _same(column.chunk(0).dictionary, len(column))
    elif column.type != kind:
        column = column.cast(kind)
    if column.num_chunks == 0:
        return pa.array([], kind)
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _same(dictionary: pa.Array, rows: int) -> pa.DictionaryArray:
    """A text in every row: zeros that are only read need no memory."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), dictionary)


def _needed(terms: Filter, files: Sequence[DataFile]) -> Filter:
    """The terms without those on time that every row of the files meets."""
    return tuple(
        term for term in terms if not (term.column == "timestamp" and all(_meets(f, term) for f in files))
    )


def _meets(file: DataFile, term: Term) -> bool:
    if file.first_us is None or file.last_us is None or not isinstance(term.value, int):
        return False
    if term.operator == ">=":
        return file.first_us >= term.value
    return term.operator == "<" and file.last_us < term.value


def _is_simple(term: Term, arrow: pa.Schema) -> bool:
    known = (term.operator in _COMPARED or term.operator == "in") and not term.or_null
    return known and has_digits(term, arrow)


def _filter(terms: Filter, schema: pa.Schema) -> Any:
    """Terms as an expression; None: every row."""
    return reduce(and_, (_expression(term, schema) for term in terms)) if terms else None


def _expression(term: Term, schema: pa.Schema) -> Any:
    kind = schema.field(term.column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    field = ds.field(term.column)
    if isinstance(term.value, tuple):
        return field.isin(pa.array(term.value, kind))
    return getattr(field, _COMPARED[term.operator])(pa.scalar(term.value, kind))
