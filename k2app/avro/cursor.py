"""Many records read side by side: their bytes in one place, a position each, and who has failed.

A slice of records is copied once into a buffer that ends in zeros. A record that fails is *parked* there: its
position moves to the zeros and stays, and every type of the subset reads zeros as an empty, valid value. So the
arrays keep their length, nothing needs to ask who is still good, and no record's fate touches another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

WORD_BYTES: Final = 8
"""Bytes loaded at once from any position."""
PARK_BYTES: Final = 64
"""Zeros after the records, besides room for the longest fixed: loads look up to 18 bytes ahead."""
SPARSE: Final = 2
"""Records are copied with what lies between them while the whole is at most so many times their bytes."""

_CONTINUES: Final = np.uint64(0x8080808080808080)
_PAYLOAD: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONE: Final = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of a slice, then zeros.

    `octets` and `arrow` are the same memory; `words[i]` is the little-endian word at octets[i:i+8]; `park` is
    where the zeros start.
    """

    octets: npt.NDArray[np.uint8]
    words: Words
    arrow: Any
    park: int


class Faults:
    """Which records of a slice have failed, and why; the first reason given to a record stands."""

    def __init__(self, records: int) -> None:
        self.failed: Mask = np.zeros(records, np.bool_)
        self.reasons: dict[int, str] = {}

    def add(self, records: Ints, reason: str) -> None:
        """Fail these records (one may stand several times)."""
        self.failed[records] = True
        for record in records.tolist():
            self.reasons.setdefault(record, reason)

    def __bool__(self) -> bool:
        return bool(self.reasons)


@dataclass(slots=True)
class Cursor:
    """A position (`at`) and an end (`stop`) per row; `record` is the record of the slice the row belongs to.

    At the top a row is a record; within arrays and maps a record may have several rows, or none. `nulls`
    counts, per record, the items that took no byte.
    """

    source: Source
    faults: Faults
    at: Ints
    stop: Ints
    record: Ints
    nulls: Ints

    def __len__(self) -> int:
        return len(self.at)

    def pick(self, rows: Ints) -> Cursor:
        """A cursor over some of the rows."""
        return Cursor(self.source, self.faults, self.at[rows], self.stop[rows], self.record[rows], self.nulls)

    def put(self, rows: Ints, picked: Cursor) -> None:
        """Take over the positions of rows picked before, and park what failed among them."""
        self.at[rows] = picked.at
        self.park()

    def refuse(self, bad: Mask, reason: str) -> None:
        """Fail the records of these rows, and park them."""
        if bad.any():
            self.faults.add(self.record[bad], reason)
            self.park()

    def park(self) -> None:
        """Send every row of a failed record to the zeros."""
        if self.faults:
            failed = self.faults.failed[self.record]
            self.at[failed] = self.source.park
            self.stop[failed] = len(self.source.octets)

    def skip(self, size: Ints | int, path: str) -> Ints:
        """Step over `size` bytes per row (not negative), if a row has so many; returns where they start."""
        self.refuse(size > self.stop - self.at, f"truncated at field {path}")
        start = self.at
        # A parked row stays: what it read as a size before it failed means nothing.
        self.at = start + (np.where(self.faults.failed[self.record], 0, size) if self.faults else size)
        return start


def load(data: npt.NDArray[np.uint8], starts: Ints, ends: Ints, longest_fixed: int) -> tuple[Source, Ints]:
    """Copy the records data[start:end] into a source; also returns where each starts there."""
    lengths = ends - starts
    low, high, size = int(starts.min()), int(ends.max()), int(lengths.sum())
    if high - low <= SPARSE * size:
        places, size, chosen = starts - low, high - low, data[low:high]
    else:
        places, chosen = np.cumsum(lengths) - lengths, data[ranges(starts, lengths)]
    octets = np.zeros(size + longest_fixed + PARK_BYTES, np.uint8)
    octets[:size] = chosen
    words: Words = np.ndarray((len(octets) - WORD_BYTES + 1,), "<u8", octets.data, strides=(1,))
    return Source(octets, words, pa.py_buffer(octets), size), places


def ranges(starts: Ints, counts: Ints) -> Ints:
    """start, start + 1, ... start + count - 1 of each pair, one after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def varint(cursor: Cursor, path: str) -> Ints:
    """Read a zigzag varint per row: int64, 0 where the record failed.

    Source: Avro 1.12 specification, "Binary Encoding", int and long.
    """
    first = cursor.source.octets[cursor.at]
    if (first & 0x80).any():
        bits = _long_varint(cursor, path)
    else:
        bits = first.astype(np.uint64)
        cursor.skip(1, path)
    values = (bits >> _ONE).view(np.int64) ^ -(bits & _ONE).view(np.int64)
    if cursor.faults:
        values[cursor.faults.failed[cursor.record]] = 0
    return values


def _long_varint(cursor: Cursor, path: str) -> Words:
    """The varint's bits: up to eight bytes by one load, the rest by themselves."""
    word = cursor.source.words[cursor.at]
    last = ~word & _CONTINUES
    last &= ~last + _ONE  # the lowest clear top bit ends the varint; none (0): beyond eight bytes
    upto = last | (last - _ONE)
    size = (np.bitwise_count(upto) >> 3).astype(np.int64)
    bits = _gather_sevens(word & upto & _PAYLOAD)
    beyond = np.flatnonzero(last == 0)
    if beyond.size:
        bits[beyond], size[beyond] = _two_more(cursor, beyond, bits[beyond], path)
    cursor.skip(size, path)
    return bits


def _gather_sevens(bits: Words) -> Words:
    """Close the gaps between eight groups of seven bits."""
    bits = (bits & np.uint64(0x007F007F007F007F)) | ((bits & np.uint64(0x7F007F007F007F00)) >> _ONE)
    bits = (bits & np.uint64(0x00003FFF00003FFF)) | ((bits & np.uint64(0x3FFF00003FFF0000)) >> np.uint64(2))
    return (bits & np.uint64(0x0FFFFFFF)) | ((bits & np.uint64(0x0FFFFFFF00000000)) >> np.uint64(4))


def _two_more(cursor: Cursor, rows: Ints, bits: Words, path: str) -> tuple[Words, Ints]:
    """Bits 56 to 63 of the varints that go on after eight bytes, and their sizes."""
    at = cursor.at[rows]
    ninth, tenth = (cursor.source.octets[at + k].astype(np.uint64) for k in (8, 9))
    goes_on = ninth >= 0x80  # noqa: PLR2004 - the continuation bit
    size = np.where(goes_on, 10, 9)
    bad = np.zeros(len(cursor), np.bool_)
    bad[rows] = goes_on & (tenth > 1) & (size <= cursor.stop[rows] - at)
    cursor.refuse(bad, f"varint beyond 64 bits in field {path}")
    bits |= (ninth & np.uint64(0x7F)) << np.uint64(56)
    bits |= np.where(goes_on, tenth & _ONE, np.uint64(0)) << np.uint64(63)
    return bits, size
