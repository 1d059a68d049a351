"""Publishing Arrow tables to topics: encoded and appended a block at a time, a batch per partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from k2app.avro.encode import encode
from k2app.avro.schema import Schema
from k2app.errors import OperatorError
from k2app.stream.batches import Int64s
from k2app.stream.log_file import LogFile, Records
from k2app.stream.partitioner import partitions_of


@dataclass(frozen=True)
class Outlet:
    """A topic to publish to, and how its values are written."""

    topic: str
    key: str
    """Column whose text is the message key."""
    schema: Schema
    schema_id: int


class Publisher(Protocol):
    """Publishes to one log."""

    log_id: str

    def publish(self, outlet: Outlet, rows: pa.Table) -> dict[int, tuple[int, int]]:
        """Publish rows in their order per key; returns [start, end) offsets by partition.

        Raises `RecordError` for a row that does not fit the schema, `TransientError` if the log cannot be written;
        nothing of the table has been published then.
        """

    def close(self) -> None:
        """Make everything durable and close."""


class EmbeddedPublisher:
    """Publisher into the embedded log: a table is one transaction, durable when the call returns."""

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self.log_id = log.log_id

    def publish(self, outlet: Outlet, rows: pa.Table) -> dict[int, tuple[int, int]]:
        """See `Publisher.publish`."""
        info = self._log.topic(outlet.topic)
        if info is None:
            raise OperatorError(f"topic {outlet.topic} is not in the log {self._log.path}: run `k2 init`")
        parts = to_records(rows, outlet, info.partitions)
        ends = self._log.append(outlet.topic, parts)
        return {r.partition: (ends[r.partition] - len(r), ends[r.partition]) for r in parts}

    def close(self) -> None:
        """See `Publisher.close`."""
        self._log.close()


def to_records(rows: pa.Table, outlet: Outlet, partitions: int) -> list[Records]:
    """Encode rows and deal them out to partitions by key; the order within a partition is the rows'."""
    if not rows.num_rows:
        return []
    where = partitions_of(rows.column(outlet.key), partitions)
    order = np.argsort(where, kind="stable")
    dealt = rows.take(pa.array(order)).combine_chunks()
    encoded = encode(dealt, outlet.schema, outlet.schema_id)
    values = pa.py_buffer(encoded.data)
    keys, key_offsets = _text(dealt.column(outlet.key))
    bounds = np.searchsorted(where[order], np.arange(partitions + 1))
    return [
        Records(
            partition,
            np.diff(key_offsets[start : end + 1]),
            keys.slice(int(key_offsets[start]), int(key_offsets[end] - key_offsets[start])),
            np.diff(encoded.offsets[start : end + 1]),
            values.slice(int(encoded.offsets[start]), int(encoded.offsets[end] - encoded.offsets[start])),
        )
        for partition, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        if end > start
    ]


def _text(column: pa.ChunkedArray) -> tuple[pa.Buffer, Int64s]:
    """Bytes and offsets of a column of strings, none null."""
    whole = column.combine_chunks().cast(pa.large_string())
    offsets = np.frombuffer(whole.buffers()[1], np.int64)[whole.offset : whole.offset + len(whole) + 1]
    data = whole.buffers()[2]
    return (pa.py_buffer(b"") if data is None else data), offsets
