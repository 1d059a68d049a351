"""Streams as bytes: NDJSON, CSV, Arrow and Parquet, a batch at a time.

Whoever reads can tell a whole answer from one that broke off: NDJSON ends with a line that has the number of rows and
the SHA-256 of the lines of rows before it, line feeds included (CSV too, if asked for); Arrow with an empty batch
whose metadata has the number of rows and the SHA-256 of the stream before it; Parquet has no footer until it is whole.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from k2app.query.answers.formats import Format
from k2app.query.answers.result_text import about, csv_header, csv_texts, in_parts, json_texts
from k2app.query.answers.row_text import text_view
from k2app.query.answers.stream import Stream
from k2app.query.beside import Bytes, HashBeside, made_ahead

ROW_GROUP_ROWS = 131_072
"""Rows per row group of a Parquet answer: it is held in memory until it is written."""

Write = Callable[[Bytes], object]
"""Takes the next bytes of an answer; blocks while nobody wants them."""


def write_stream(stream: Stream, form: Format, write: Write, *, numbers: bool, control: bool | None) -> int:
    """Write every row of a stream; returns how many there were.

    Parameters
    ----------
    numbers
        Decimals as JSON numbers of the same digits instead of strings (NDJSON).
    control
        Lines before and after the rows; None: in NDJSON only.

    Raises
    ------
    K2Error
        What reading the rows raises; what was written until then is not whole, and shows it.
    """
    if form is Format.NDJSON:
        return _ndjson(stream, write, numbers=numbers, control=control is not False)
    if form is Format.CSV:
        return _csv(stream, write, control=control is True)
    return _arrow(stream, write) if form is Format.ARROW else _parquet(stream, write)


def control_line(kind: str, **members: object) -> bytes:
    """A line of NDJSON that is no row: `control` is the name of no column."""
    return (
        json.dumps({"control": kind, **members}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    )


def _ndjson(stream: Stream, write: Write, *, numbers: bool, control: bool) -> int:
    if control:
        write(control_line("start", **about(stream)))
    rows, digest = _write_lines(stream, write, partial(json_texts, numbers=numbers, end="\n"))
    if control:
        write(control_line("end", rows=rows, sha256=digest, next=stream.next))
    return rows


def _csv(stream: Stream, write: Write, *, control: bool) -> int:
    if control:
        write(b"#" + control_line("start", **about(stream)))
    write(csv_header(stream.schema.names))
    rows, digest = _write_lines(stream, write, csv_texts)
    if control:
        write(b"#" + control_line("end", rows=rows, sha256=digest, next=stream.next))
    return rows


def _write_lines(stream: Stream, write: Write, to_lines: Callable[[pa.Table], pa.Array]) -> tuple[int, str]:
    rows, digest = 0, HashBeside()
    for batch in stream.batches:
        parts = in_parts(pa.Table.from_batches([batch]))
        for lines in made_ahead(partial(to_lines, part) for part in parts):
            data = text_view(lines)
            digest.update([data])
            write(data)
        rows += batch.num_rows
    return rows, digest.hexdigest()


class _Sink(io.RawIOBase):
    """A file that hands on what is written to it, unless it broke off: then it must not get an end.

    Parameters
    ----------
    gathers
        Hand on only when told to.
    """

    def __init__(self, write: Write, *, gathers: bool) -> None:
        self._write = write
        self._gathers = gathers
        self._broken = False
        self._held: list[bytes] = []
        self._digest = HashBeside()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data)
        if not self._broken:
            self._held.append(taken)
            if not self._gathers:
                self.hand_on()
        return len(taken)

    def hand_on(self) -> None:
        """Hand on what was written: Arrow writes buffer by buffer, and waking a reader for each would be dear."""
        data = b"".join(self._held)
        self._held.clear()
        self._digest.update([data])
        self._write(data)

    def hexdigest(self) -> str:
        """SHA-256 of what was handed on."""
        return self._digest.hexdigest()

    @contextmanager
    def unless_broken(self) -> Iterator[None]:
        """Drop what is written after an error: Arrow's writers end their file even then."""
        try:
            yield
        except BaseException:
            self._broken = True
            raise


def _arrow(stream: Stream, write: Write) -> int:
    rows, sink = 0, _Sink(write, gathers=True)
    schema = stream.schema.with_metadata(_metadata(stream))
    with pa.ipc.new_stream(sink, schema) as writer, sink.unless_broken():
        for batch in stream.batches:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
            sink.hand_on()
            rows += batch.num_rows
        empty = pa.RecordBatch.from_pylist([], schema)
        if not rows:
            # Arrow writes the columns with the first batch; the hash has to cover them.
            writer.write_batch(empty)
            sink.hand_on()
        end = {"k2.rows": str(rows), "k2.sha256": sink.hexdigest(), "k2.next": stream.next or ""}
        writer.write_batch(empty, custom_metadata=pa.KeyValueMetadata(end))
    sink.hand_on()
    return rows


def _parquet(stream: Stream, write: Write) -> int:
    rows, sink = 0, _Sink(write, gathers=False)
    schema = stream.schema.with_metadata(_metadata(stream))
    with (
        pq.ParquetWriter(sink, schema, compression="zstd", store_decimal_as_integer=True) as writer,
        sink.unless_broken(),
    ):
        for table in _gathered(stream.batches):
            writer.write_table(table.replace_schema_metadata(schema.metadata))
            rows += table.num_rows
        writer.add_key_value_metadata({"k2.rows": str(rows), "k2.next": stream.next or ""})
    return rows


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together to row groups."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.num_rows for part in held) >= ROW_GROUP_ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _metadata(stream: Stream) -> dict[str, str]:
    """What the file says of itself."""
    return {f"k2.{name}": json.dumps(value, ensure_ascii=False) for name, value in about(stream).items()}
