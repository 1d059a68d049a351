"""Records of one partition as columns: what a fetch from the log hands over. Knows no Faust."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]

NULL_LENGTH = -1
"""Length that stands for a null key or value."""


@dataclass(frozen=True, eq=False)
class RecordBatch:
    """Consecutive records of one partition, as columns.

    Record `i` has offset `offsets[i]`, log time `times_us[i]`, and the value
    `data[starts[i]:starts[i] + value_lengths[i]]`, null if the length is -1. Keys are laid out likewise in
    `keys`. Offsets ascend; they may skip (compaction, transaction markers).
    """

    log_id: str
    topic: str
    partition: int
    offsets: Int64s
    times_us: Int64s
    data: pa.Buffer
    starts: Int64s
    value_lengths: Int64s
    keys: pa.Buffer
    key_starts: Int64s
    key_lengths: Int64s
    epoch: int = 0
    position: int = 0
    """Offset from which this batch was read: lower than the first offset where the log skipped some."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def first_offset(self) -> int:
        """Offset of the first record."""
        return int(self.offsets[0])

    @property
    def next_offset(self) -> int:
        """Offset after the last record."""
        return int(self.offsets[-1]) + 1

    @property
    def size_bytes(self) -> int:
        """Bytes that this batch keeps in memory: a few rows hold on to the buffers that they are part of."""
        return int(self.data.size + self.keys.size)

    @property
    def value_bytes(self) -> int:
        """Bytes of these records' values."""
        return int(np.maximum(self.value_lengths, 0).sum())

    def value(self, row: int) -> bytes | None:
        """Value of one record."""
        return _cell(self.data, self.starts, self.value_lengths, row)

    def key(self, row: int) -> bytes | None:
        """Key of one record."""
        return _cell(self.keys, self.key_starts, self.key_lengths, row)

    def fingerprint(self, row: int) -> tuple[int, int]:
        """Log time (µs) and CRC-32 of the value of one record: tells one log's record from another's."""
        return int(self.times_us[row]), zlib.crc32(self.value(row) or b"")

    def rows(self, start: int, end: int) -> RecordBatch:
        """Rows `[start, end)`, sharing the buffers."""
        part = slice(start, end)
        return RecordBatch(
            self.log_id,
            self.topic,
            self.partition,
            self.offsets[part],
            self.times_us[part],
            self.data,
            self.starts[part],
            self.value_lengths[part],
            self.keys,
            self.key_starts[part],
            self.key_lengths[part],
            self.epoch,
            max(self.position, int(self.offsets[start])) if start else self.position,
        )


def _cell(buffer: pa.Buffer, starts: Int64s, lengths: Int64s, row: int) -> bytes | None:
    length = int(lengths[row])
    if length == NULL_LENGTH:
        return None
    start = int(starts[row])
    cell: bytes = buffer.slice(start, length).to_pybytes()
    return cell
