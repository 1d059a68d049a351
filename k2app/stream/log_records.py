"""Records as columns: how they are handed to the log, and how stored batches become what is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from k2app.stream.record_batch import NULL_LENGTH, Int64s, RecordBatch


@dataclass(frozen=True)
class Records:
    """Records to append to one partition, as columns: concatenated keys and values with their lengths.

    A length of -1 is a null.
    """

    partition: int
    key_lengths: Int64s
    keys: bytes | pa.Buffer
    value_lengths: Int64s
    values: bytes | pa.Buffer

    def __len__(self) -> int:
        return len(self.value_lengths)


def records_from_pairs(partition: int, pairs: Sequence[tuple[bytes | None, bytes | None]]) -> Records:
    """Lay single records out as columns."""
    keys, values = [k for k, _ in pairs], [v for _, v in pairs]
    return Records(partition, _lengths(keys), _joined(keys), _lengths(values), _joined(values))


def _lengths(cells: Sequence[bytes | None]) -> Int64s:
    return np.fromiter((NULL_LENGTH if c is None else len(c) for c in cells), np.int64, len(cells))


def _joined(cells: Sequence[bytes | None]) -> bytes:
    return b"".join(c for c in cells if c is not None)


Stored = tuple[int, int, int, bytes | None, bytes, bytes, bytes]
"""Columns of a stored batch: base offset, count, time, offsets, lengths, keys, payload."""


def to_batch(
    log_id: str, topic: str, partition: int, rows: Sequence[Stored], position: int, epoch: int
) -> RecordBatch:
    """Stored batches of one partition, in order, as one; `position` and `epoch` are those of the reader."""
    lengths = [np.frombuffer(r[4], "<i4").astype(np.int64) for r in rows]
    key_lengths = np.concatenate([ln[: r[1]] for ln, r in zip(lengths, rows, strict=True)])
    value_lengths = np.concatenate([ln[r[1] :] for ln, r in zip(lengths, rows, strict=True)])
    return RecordBatch(
        log_id,
        topic,
        partition,
        np.concatenate([_stored_offsets(r) for r in rows]),
        np.concatenate([np.full(r[1], r[2], np.int64) for r in rows]),
        _one_buffer([r[6] for r in rows]),
        _starts(value_lengths),
        value_lengths,
        _one_buffer([r[5] for r in rows]),
        _starts(key_lengths),
        key_lengths,
        epoch,
        position,
    )


def _one_buffer(parts: Sequence[bytes]) -> pa.Buffer:
    return pa.py_buffer(parts[0] if len(parts) == 1 else b"".join(parts))


def _stored_offsets(row: Stored) -> Int64s:
    if row[3] is not None:
        return np.frombuffer(row[3], "<i8").astype(np.int64)
    return np.arange(row[0], row[0] + row[1], dtype=np.int64)


def _starts(lengths: Int64s) -> Int64s:
    solid = np.maximum(lengths, 0)
    return np.cumsum(solid) - solid


def stored_lengths(records: Records) -> bytes:
    """Lengths of keys, then of values, as they are stored."""
    return np.concatenate((records.key_lengths, records.value_lengths)).astype("<i4").tobytes()
