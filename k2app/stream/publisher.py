"""Publishing Arrow tables to topics: encoded and appended a block at a time, a batch per partition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from k2app.avro.encode import encode
from k2app.avro.schema import Schema
from k2app.errors import OperatorError
from k2app.stream.log_file import LogFile
from k2app.stream.log_records import Records
from k2app.stream.partitioner import partitions_of
from k2app.stream.record_batch import Int64s

Headers = tuple[tuple[str, bytes], ...]
"""Names and values that go with a record, beside key and value."""


@dataclass(frozen=True)
class Outlet:
    """A topic to publish to, and how its values are written."""

    topic: str
    key: str
    """Column whose text is the message key; where the schema has no such field, it is the key only."""
    schema: Schema
    schema_id: int


class Publisher(Protocol):
    """Publishes to one log."""

    log_id: str

    def publish(self, outlet: Outlet, rows: pa.Table) -> dict[int, tuple[int, int]]:
        """Publish rows in their order per key; returns [start, end) offsets by partition.

        When it returns, all of them are durable. On the embedded log a table is all or nothing. On Kafka it is not:
        a cluster that stops answering half-way leaves part of it there, and nobody can tell which.

        Raises
        ------
        RecordError
            A row does not fit the schema; nothing was published.
        TransientError
            The log cannot be written; nothing was published: the same call may be made again.
        OperatorError
            There is no such topic: nothing was published. Or Kafka did not confirm what was sent: part of it may be
            there; not to be tried again unasked, since rows without a sequence would be there twice.
        """

    def publish_records(
        self, topic: str, deal: Callable[[int], Sequence[Records]], headers: Headers = ()
    ) -> dict[int, tuple[int, int]]:
        """Publish records that are encoded already; as `publish`.

        Parameters
        ----------
        deal
            Deals them out to so many partitions.
        headers
            Of every record; Kafka keeps them, the embedded log has no room for any.
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
        return self.publish_records(outlet.topic, lambda partitions: to_records(rows, outlet, partitions))

    def publish_records(
        self, topic: str, deal: Callable[[int], Sequence[Records]], headers: Headers = ()
    ) -> dict[int, tuple[int, int]]:
        """See `Publisher.publish_records`."""
        del headers
        info = self._log.topic(topic)
        if info is None:
            raise OperatorError(f"topic {topic} is not in the log {self._log.path}: run `k2 init`")
        parts = deal(info.partitions)
        ends = self._log.append(topic, parts)
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
    fields = [field.name for field in outlet.schema.fields]
    values_of = dealt if outlet.key in fields else dealt.drop_columns([outlet.key])
    encoded = encode(values_of, outlet.schema, outlet.schema_id)
    return cut(
        dealt.column(outlet.key), pa.py_buffer(encoded.data), encoded.offsets, where[order], partitions
    )


def cut(
    texts: pa.ChunkedArray, values: pa.Buffer, offsets: Int64s, where: Int64s, partitions: int
) -> list[Records]:
    """Records of each partition from columns of all of them.

    Parameters
    ----------
    texts
        Keys.
    values, offsets
        Encoded values one after the other; where each starts, and the last one ends.
    where
        Partition of each, ascending.
    """
    keys, key_offsets = _text(texts)
    bounds = np.searchsorted(where, np.arange(partitions + 1))
    return [
        Records(
            partition,
            np.diff(key_offsets[start : end + 1]),
            keys.slice(int(key_offsets[start]), int(key_offsets[end] - key_offsets[start])),
            np.diff(offsets[start : end + 1]),
            values.slice(int(offsets[start]), int(offsets[end] - offsets[start])),
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
