"""Kafka's records as a `RecordBatch`: columns, not an object per record.

aiokafka makes an object of each record, which takes eight times as long as reading it. So what its fetcher holds is
read here, the way `aiokafka.consumer.fetcher.PartitionRecords` would (aiokafka 0.14): checksums, aborted
transactions and control batches included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from faust.types import TP

from k2app.stream.record_batch import NULL_LENGTH, Int64s, RecordBatch


@dataclass
class Columns:
    """Records of one partition, in offset order; times in milliseconds."""

    offsets: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)

    def add(self, record: Any) -> None:
        """Add one record."""
        self.offsets.append(record.offset)
        self.times_ms.append(record.timestamp)
        self.keys.append(record.key)
        self.values.append(record.value)


def read_fetched(fetched: PartitionRecords) -> Columns:
    """Read everything that a fetch brought of one partition, and move `fetched.next_fetch_offset` past it.

    Raises
    ------
    CorruptRecordException
        A checksum is wrong.
    """
    columns, start = Columns(), fetched.next_fetch_offset
    for batch in _visible(fetched):
        for record in batch:
            # A fetch that begins inside a batch brings all of it.
            if record.offset >= start:
                columns.add(record)
    return columns


def _visible(fetched: PartitionRecords) -> Iterator[Any]:
    """Record batches that a reader may see."""
    while fetched._records.has_next():  # noqa: SLF001 - see the module's docstring, here and below
        batch = fetched._records.next_batch()  # noqa: SLF001
        if fetched._check_crcs and not batch.validate_crc():  # noqa: SLF001
            raise CorruptRecordException(f"invalid checksum at offset {batch.base_offset} of {fetched._tp}")  # noqa: SLF001
        aborted = _is_aborted(fetched, batch)
        if not aborted and not batch.is_control_batch:
            yield batch
        # A batch keeps its last offset even if compaction took that record away.
        fetched.next_fetch_offset = batch.next_offset


def _is_aborted(fetched: PartitionRecords, batch: Any) -> bool:
    if fetched._isolation_level != READ_COMMITTED or batch.producer_id is None:  # noqa: SLF001
        return False
    fetched._consume_aborted_up_to(batch.base_offset)  # noqa: SLF001
    if batch.is_control_batch and fetched._contains_abort_marker(batch):  # noqa: SLF001
        fetched._aborted_producers.discard(batch.producer_id)  # noqa: SLF001
    return batch.is_transactional and batch.producer_id in fetched._aborted_producers  # noqa: SLF001


def to_batch(log_id: str, tp: TP, columns: Columns, *, epoch: int = 0, position: int = 0) -> RecordBatch:
    """Make a batch of at least one record; `epoch` and `position` are what it was asked for under."""
    values, value_starts, value_lengths = _joined(columns.values)
    keys, key_starts, key_lengths = _joined(columns.keys)
    return RecordBatch(
        log_id,
        tp.topic,
        tp.partition,
        np.array(columns.offsets, np.int64),
        np.array(columns.times_ms, np.int64) * 1_000,
        values,
        value_starts,
        value_lengths,
        keys,
        key_starts,
        key_lengths,
        epoch,
        position,
    )


def _joined(cells: Sequence[bytes | None]) -> tuple[pa.Buffer, Int64s, Int64s]:
    """Joined bytes, and where each cell starts and how long it is (-1: null)."""
    lengths = np.fromiter((NULL_LENGTH if c is None else len(c) for c in cells), np.int64, len(cells))
    solid = np.maximum(lengths, 0)
    joined = b"".join(c for c in cells if c is not None)
    return pa.py_buffer(joined), np.cumsum(solid) - solid, lengths
