"""Confluent-framed Avro messages to one Arrow record batch, all messages at once.

Messages are grouped by schema id; a group is cut into slices that fit a processor's cache; in a slice every
record advances together, field by field (`walk`), and every field becomes an Arrow array (`build`). A record is
good only if it ends exactly where its bytes end. Work between records and columns is numpy's and Arrow's, most
of it without the interpreter's lock; only records that failed are looked at one by one.

Source: Confluent wire format; Avro 1.12 specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from k2app.avro import build, resolve
from k2app.avro.cursor import Cursor, Faults, Ints, Mask, load
from k2app.avro.schema import Schema, arrow_schema
from k2app.avro.types import Array, AvroType, Decimal, Fixed, Map, unwrap
from k2app.avro.walk import walk
from k2app.errors import OperatorError, RecordError

HEADER_BYTES: Final = 5
"""Magic byte 0, then the schema id, big-endian."""
SLICE_ROWS: Final = 32_768
"""Records walked together: a column's positions (8 bytes each) stay in a core's cache."""
SLICE_BYTES: Final = 64 * 2**20
"""Message bytes walked together, unless one message alone is longer."""
MAX_MESSAGE_BYTES: Final = 2**30
"""Bytes of a message: offsets within a slice are 32 bits wide."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that could not be read: its place among the messages, from 0, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """`batch` has a row per good message, in their order; `rows` says which messages these are (ascending).

    `failures` holds the others, ascending too: every message is in exactly one of the two.
    """

    batch: Any
    rows: Ints
    failures: list[Failure]


def messages_from_list(values: Sequence[bytes]) -> tuple[Any, Ints, Ints]:
    """Put messages side by side: the `data`, `starts` and `ends` that `decode` takes."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(lengths)
    return pa.py_buffer(b"".join(values)), ends - lengths, ends


def decode(data: Any, starts: Ints, ends: Ints, writers: Mapping[int, Schema], reader: Schema) -> Decoded:
    """Decode the messages data[starts[i]:ends[i]].

    Parameters
    ----------
    data
        An Arrow buffer, of any size.
    starts, ends
        int64, bytes from the buffer's start; messages may lie anywhere in it, best side by side.
    writers
        The schema behind each schema id that may occur. A message with another id fails.
    reader
        The schema of the answer: `batch.schema` is `arrow_schema(reader)`.

    Raises
    ------
    OperatorError
        A column of text, bytes or items exceeds the 2 GiB that 32-bit offsets reach: decode fewer at once.
    ValueError
        A message lies outside the buffer.
    """
    octets = np.frombuffer(data, np.uint8)
    starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    if ((starts < 0) | (ends < starts) | (ends > len(octets))).any():
        raise ValueError(f"a message lies outside the buffer of {len(octets)} bytes")
    faults = Faults(len(starts))
    parts = [
        _slice(octets, starts, ends, rows, projection, faults)
        for projection, group in _groups(_schema_ids(octets, starts, ends, faults), writers, reader, faults)
        for rows in _cut(group, ends - starts)
    ]
    batch, rows = _in_order(parts, reader)
    return Decoded(batch, rows, [Failure(i, faults.reasons[i]) for i in sorted(faults.reasons)])


def _schema_ids(octets: npt.NDArray[np.uint8], starts: Ints, ends: Ints, faults: Faults) -> Ints:
    """The schema id of each message; what is not framed fails."""
    lengths = ends - starts
    _fail(faults, lengths < HEADER_BYTES, "too short for a header of 5 bytes")
    _fail(faults, lengths > MAX_MESSAGE_BYTES, f"longer than {MAX_MESSAGE_BYTES} bytes")
    ids = np.zeros(len(starts), np.int64)
    framed = np.flatnonzero(~faults.failed)
    at = starts[framed]
    magic = np.zeros(len(starts), np.bool_)
    magic[framed] = octets[at] != 0
    _fail(faults, magic, "wrong magic byte, not 0")
    for k in range(1, HEADER_BYTES):
        ids[framed] = ids[framed] << 8 | octets[at + k]
    return ids


def _fail(faults: Faults, bad: Mask, reason: str) -> None:
    if bad.any():
        faults.add(np.flatnonzero(bad), reason)


def _groups(
    ids: Ints, writers: Mapping[int, Schema], reader: Schema, faults: Faults
) -> Iterator[tuple[resolve.Projection, Ints]]:
    """Messages by schema id, with how to read them; ids that cannot be read fail."""
    framed = np.flatnonzero(~faults.failed)
    for schema_id in np.unique(ids[framed]).tolist():
        rows = framed[ids[framed] == schema_id]
        if schema_id not in writers:
            faults.add(rows, f"unknown schema id {schema_id}")
            continue
        try:
            yield resolve.project(writers[schema_id], reader), rows
        except RecordError as error:
            faults.add(rows, f"schema id {schema_id} does not fit the reader: {error}")


def _cut(rows: Ints, lengths: Ints) -> Iterator[Ints]:
    """Slices of at most SLICE_ROWS messages and SLICE_BYTES, or one message."""
    upto = np.cumsum(lengths[rows])
    start = 0
    while start < len(rows):
        before = int(upto[start - 1]) if start else 0
        fit = int(np.searchsorted(upto, before + SLICE_BYTES, "right"))
        stop = min(start + SLICE_ROWS, max(fit, start + 1))
        yield rows[start:stop]
        start = stop


def _slice(
    octets: npt.NDArray[np.uint8],
    starts: Ints,
    ends: Ints,
    rows: Ints,
    projection: resolve.Projection,
    faults: Faults,
) -> tuple[list[Any], Ints]:
    """The reader's columns of some messages of one writer, and which of them are good."""
    mine = Faults(len(rows))
    source, first = load(octets, starts[rows], ends[rows], _longest_fixed(projection.writer))
    at = first + HEADER_BYTES
    cursor = Cursor(
        source, mine, at, first + (ends - starts)[rows], np.arange(len(rows)), np.zeros(len(rows), np.int64)
    )
    columns = _columns(cursor, projection)
    for place, reason in mine.reasons.items():
        faults.add(rows[place : place + 1], reason)
    if not mine:
        return columns, rows
    good = np.flatnonzero(~mine.failed)
    return [column.take(pa.array(good)) for column in columns], rows[good]


def _columns(cursor: Cursor, projection: resolve.Projection) -> list[Any]:
    """Walk and build every field of the writer; take what the reader wants."""
    builder = build.Builder(cursor.source, cursor.faults)
    arrays = [
        builder.build(walk(cursor, field.type, field.name), field.type, target, field.name)
        for field, target in zip(projection.writer.fields, projection.targets, strict=True)
    ]
    cursor.refuse(cursor.at != cursor.stop, "trailing bytes")
    return [
        build.default(field, len(cursor)) if source is None else arrays[source]
        for field, source in zip(projection.reader.fields, projection.sources, strict=True)
    ]


def _longest_fixed(schema: Schema) -> int:
    return max(_fixed_bytes(field.type) for field in schema.fields)


def _fixed_bytes(kind: AvroType) -> int:
    match unwrap(kind):
        case Fixed(size=size) | Decimal(size=int(size)):
            return size
        case Array(inner) | Map(inner):
            return _fixed_bytes(inner)
    return 0


def _in_order(parts: list[tuple[list[Any], Ints]], reader: Schema) -> tuple[Any, Ints]:
    """One batch of all parts, in the messages' order."""
    schema = arrow_schema(reader)
    if not parts:
        columns = [build.constant(field.type, None, 0) for field in reader.fields]
        return pa.RecordBatch.from_arrays(columns, schema=schema), np.zeros(0, np.int64)
    rows = np.concatenate([rows for _, rows in parts])
    columns = [_concat([columns[k] for columns, _ in parts], field.name) for k, field in enumerate(schema)]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    if (rows[1:] > rows[:-1]).all():
        return batch, rows
    order = np.argsort(rows)
    return batch.take(pa.array(order)), rows[order]


def _concat(arrays: list[Any], name: str) -> Any:
    try:
        return pa.concat_arrays(arrays)
    except pa.ArrowInvalid as error:
        raise OperatorError(f"field {name}: {error}; decode fewer messages at once") from error
