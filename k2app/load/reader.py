"""Files to blocks of validated rows, in bounded memory.

The bytes are cut into records here (`lines`), so that line numbers and the bytes of what is refused are exact;
pyarrow cuts the records into cells; `build` reads the cells a column at a time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

from k2app.errors import OperatorError
from k2app.load import build, lines
from k2app.load.columns import Columns, choose, header_cells, is_header
from k2app.load.profiles import Profile
from k2app.load.quoted import grammar
from k2app.load.shapes import FileShape, SequenceMode
from k2app.load.sources import Source, open_source
from k2app.market.exchanges import Exchange
from k2app.market.topics import DataType

TRIAL_ROWS: Final = 1_000
"""If the first so many rows are all refused, the profile is wrong, not the rows."""

BOM: Final = b"\xef\xbb\xbf"
_OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Context:
    """What a load knows beside the file and the profile.

    Parameters
    ----------
    exchange
        Whose rows these are.
    load_id
        Of this load; stands in every row.
    ingested_at_us
        When it reads them, microseconds since 1970 UTC; stands in every row.
    symbol
        Of all rows of the file (see `symbols`), or None: each row says it.
    sequence
        Where sequence numbers come from; with `assign`, `numbering` fills them in later.
    block_bytes
        Bytes read at once.
    """

    exchange: Exchange
    load_id: str
    ingested_at_us: int
    symbol: str | None
    sequence: SequenceMode
    block_bytes: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be read.

    Attributes
    ----------
    file
        As the operator named it.
    line
        Where it starts, from 1.
    raw
        Its bytes, without the line end.
    field
        What could not be read; None if the row as a whole is no record.
    reason
        Why, in a sentence.
    """

    file: str
    line: int
    raw: bytes
    field: str | None
    reason: str


@dataclass(frozen=True)
class Block:
    """Some rows of a file, in its order.

    Attributes
    ----------
    rows
        Table in the record's schema (`records.record_schema`), in one chunk; may be empty.
    rejects
        Rows that could not be read, by line.
    bytes_read
        Bytes of the file (compressed ones, if it is compressed) read when the block was made.
    ambiguous
        Rows whose local time came twice; the first occurrence was taken.
    columns
        How the file's columns are read; the same in every block.
    """

    rows: Any
    rejects: list[Reject]
    bytes_read: int
    ambiguous: int
    columns: Columns


def read(path: Path, profile: Profile, data_type: DataType, context: Context) -> Iterator[Block]:
    """Read a file.

    Every line is in exactly one place: a row, a reject, the header, or blank. The same file, profile and
    context give the same rows and rejects, whatever `block_bytes` is.

    Raises
    ------
    OperatorError
        The file cannot be read or is empty, its header lacks a column, or not one of its first rows could be
        read. Nothing was yielded then, unless the file went away midway.
    """
    yield from _told(path, _with_trial(read_anyway(path, profile, data_type, context), profile, data_type))


def read_anyway(path: Path, profile: Profile, data_type: DataType, context: Context) -> Iterator[Block]:
    """Read a file as `read` does, even if not one of its first rows can be read."""
    shape = profile.shape(data_type)
    with open_source(path) as source:
        yield from _told(path, _blocks(source, shape, data_type, context))


def _told(path: Path, blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks; an error on the way names the file."""
    try:
        yield from blocks
    except OperatorError as error:
        if str(path) in str(error):
            raise
        raise OperatorError(f"{path}: {error}") from error


def _blocks(source: Source, shape: FileShape, data_type: DataType, context: Context) -> Iterator[Block]:
    columns: Columns | None = None
    fixed = build.Fixed(
        data_type,
        context.exchange,
        context.load_id,
        context.ingested_at_us,
        context.symbol,
        shape.currency(context.symbol),
        build.absent_when_zero(shape),
    )
    for records in _records(source, shape.delimiter, context.block_bytes):
        rest = records
        if columns is None:
            columns, rest = _columns(records, shape, context)
        if columns is not None and (len(rest) or rest.damaged):
            yield _block(rest, columns, shape.delimiter, fixed, source)
    if columns is None:
        raise OperatorError("the file is empty")


def _records(source: Source, delimiter: str, block_bytes: int) -> Iterator[lines.Records]:
    """Records by the chunk; of an empty chunk none."""
    by, line, rest = grammar(delimiter), 1, _without_bom(source.read(block_bytes))
    while True:
        piece = source.read(block_bytes)
        records = lines.split(rest, line, by, delimiter, final=not piece)
        yield records
        if not piece:
            return
        line, rest = records.next_line, rest[records.size_bytes :] + piece


def _without_bom(data: bytes) -> bytes:
    if data.startswith(_OTHER_ENCODINGS):
        raise OperatorError("the file is UTF-16; convert it to UTF-8")
    return data.removeprefix(BOM)


def _columns(
    records: lines.Records, shape: FileShape, context: Context
) -> tuple[Columns | None, lines.Records]:
    """The columns, from the first record or the profile, and the records after the header."""
    if not len(records) and not records.damaged:
        return None, records
    fixed_symbol = context.symbol is not None
    named = _header(records, shape, fixed_symbol=fixed_symbol)
    if named is not None:
        return choose(named, shape, context.sequence, fixed_symbol=fixed_symbol), records.without_first()
    cells = len(header_cells(records.raw(0), shape.delimiter)) if len(records) else len(shape.columns)
    names = shape.columns_of(cells)
    return choose(names, shape, context.sequence, fixed_symbol=fixed_symbol, header=False), records


def _header(records: lines.Records, shape: FileShape, *, fixed_symbol: bool) -> list[str] | None:
    damaged_first = records.damaged and (not len(records) or records.damaged[0].line < records.lines[0])
    if shape.header == "no" or (shape.header == "optional" and damaged_first):
        return None
    if damaged_first:
        raise OperatorError(
            f"the header, line {records.damaged[0].line}, cannot be read: {records.damaged[0].reason}"
        )
    cells = header_cells(records.raw(0), shape.delimiter)
    if shape.header == "optional" and not is_header(cells, shape, fixed_symbol=fixed_symbol):
        return None
    return cells


def _block(
    records: lines.Records, columns: Columns, delimiter: str, fixed: build.Fixed, source: Source
) -> Block:
    file = str(source.path)
    rejects = [Reject(file, one.line, one.raw, None, one.reason) for one in records.damaged]
    cells, rows, short = _cells(records, columns, delimiter)
    rejects += [Reject(file, int(records.lines[i]), records.raw(i), None, why) for i, why in short]
    built = build.build(cells, records.lines[rows], columns, fixed)
    for row, why in built.refused.items():
        index = int(rows[row])
        rejects.append(Reject(file, int(records.lines[index]), records.raw(index), why.field, why.reason))
    rejects.sort(key=lambda one: one.line)
    return Block(built.rows, rejects, source.position, built.ambiguous, columns)


def _cells(
    records: lines.Records, columns: Columns, delimiter: str
) -> tuple[dict[str, Any], lines.Int64s, list[tuple[int, str]]]:
    """Cells by column as strings, the record of each row, and records with a wrong number of cells."""
    if not len(records):
        return {name: pa.array([], pa.string()) for name in columns.needed}, np.zeros(0, np.int64), []
    short: list[tuple[int, str]] = []

    def refuse(row: Any) -> str:
        short.append((row.number - 1, f"has {row.actual_columns} cells instead of {row.expected_columns}"))
        return "skip"

    text = records.text()
    table = pa.csv.read_csv(
        io.BytesIO(text),
        pa.csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=columns.names),
        pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=records.quoted, invalid_row_handler=refuse
        ),
        pa.csv.ConvertOptions(
            check_utf8=False,  # `lines` has
            column_types=dict.fromkeys(columns.names, pa.string()),
            include_columns=columns.needed,
        ),
    )
    keep = np.ones(len(records), np.bool_)
    keep[[index for index, _ in short]] = False
    rows = np.flatnonzero(keep)
    if table.num_rows != len(rows):
        first, last = records.lines[0], records.lines[-1]
        raise OperatorError(
            f"lines {first} to {last}: {len(records)} records, of which pyarrow reads {table.num_rows} and refuses "
            f"{len(short)}; nothing was read from here on"
        )
    return {name: _flat(table[name]) for name in columns.needed}, rows, short


def _flat(column: Any) -> Any:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])
    )


def _with_trial(blocks: Iterator[Block], profile: Profile, data_type: DataType) -> Iterator[Block]:
    """Hold blocks back until one has a row; if the first `TRIAL_ROWS` have none, refuse the file."""
    held: list[Block] = []
    for block in blocks:
        held.append(block)
        if _rejected_first(held) >= TRIAL_ROWS:
            break
        if block.rows.num_rows:
            yield from held
            yield from blocks
            return
    rejects = [one for block in held for one in block.rejects]
    if rejects:
        first, tried = rejects[0], min(len(rejects), TRIAL_ROWS)
        where = "" if first.field is None else f"{first.field} "
        raise OperatorError(
            f"no row of the first {tried} could be read as {data_type} with profile {profile.name}; first reason, "
            f"line {first.line}: {where}{first.reason}; is the profile right?"
        )


def _rejected_first(held: list[Block]) -> int:
    """Rejects before the first row."""
    good = [int(block.rows["source_line"][0].as_py()) for block in held if block.rows.num_rows]
    return sum(1 for block in held for one in block.rejects if not good or one.line < good[0])
