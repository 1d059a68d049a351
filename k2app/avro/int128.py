"""Decimals as pairs of words: 128-bit two's complement, the low word unsigned, the high word signed.

Source: Avro 1.12 specification, "Decimal"; Arrow columnar format, decimal128 (little-endian).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from k2app.avro.cursor import WORD_BYTES, Ints, Mask, Source, Words

MAX_BYTES: Final = 16
"""Bytes of an int128."""
_WORD_BITS: Final = 64
_INT64_DIGITS: Final = 18
"""Digits that an int64 always holds."""

Pair = tuple[Words, Ints]


def from_bytes(source: Source, starts: Ints, lengths: Ints) -> Pair:
    """Read big-endian two's complement of 1 to 16 bytes; 0 bytes read as 0 or -1."""
    first = _big_endian(source, starts).view(np.int64)
    if int(lengths.max(initial=0)) <= WORD_BYTES:
        value = first >> (_WORD_BITS - 8 * lengths)
        return value.view(np.uint64), value >> (_WORD_BITS - 1)
    long = lengths > WORD_BYTES
    spare = np.where(long, 8 * (MAX_BYTES - lengths), _WORD_BITS - 8 * lengths)
    value = first >> spare
    # A short value is all in the first load; a long one has its low word in the last eight bytes.
    low = np.where(
        long, _big_endian(source, starts + np.where(long, lengths - WORD_BYTES, 0)), value.view(np.uint64)
    )
    return low, np.where(long, value, value >> (_WORD_BITS - 1))


def sign_only(source: Source, starts: Ints, extra: int) -> Mask:
    """Whether the `extra` bytes at each start, and the top bit of the byte after them, are all the sign."""
    sign = (source.octets[starts + extra] >= 0x80) * np.uint8(0xFF)  # noqa: PLR2004 - the top bit
    same = np.ones(len(starts), np.bool_)
    for k in range(extra):
        same &= source.octets[starts + k] == sign
    return same


def within(pair: Pair, digits: int) -> Mask:
    """Which values have at most so many digits."""
    low, high = pair
    bound = 10**digits
    if digits <= _INT64_DIGITS:
        value = low.view(np.int64)
        fits: Mask = (high == value >> (_WORD_BITS - 1)) & (value < bound) & (value > -bound)
        return fits
    return _less(pair, bound) & ~_less(pair, 1 - bound)


def to_buffer(pair: Pair) -> Any:
    """The values as the buffer of a decimal128 array."""
    words = np.empty((len(pair[0]), 2), np.uint64)
    words[:, 0], words[:, 1] = pair[0], pair[1].view(np.uint64)
    return pa.py_buffer(words)


def from_arrow(array: Any) -> Pair:
    """The words of a decimal128 array, 0 where it is null."""
    words: Words = np.frombuffer(array.buffers()[1], np.uint64) if len(array) else np.zeros(0, np.uint64)
    words = words[2 * array.offset : 2 * (array.offset + len(array))]
    low, high = words[0::2], words[1::2].view(np.int64)
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        return np.where(valid, low, np.uint64(0)), np.where(valid, high, 0)
    return low, high


def to_bytes(pair: Pair) -> npt.NDArray[np.uint8]:
    """Big-endian bytes, 16 in a row."""
    words = np.empty((len(pair[0]), 2), ">u8")
    words[:, 0], words[:, 1] = pair[1].view(np.uint64), pair[0]
    return words.view(np.uint8).reshape(-1, MAX_BYTES)


def byte_lengths(pair: Pair) -> Ints:
    """The bytes that fastavro spends: enough for the magnitude and a sign bit, so -128 takes two."""
    low, high = pair
    negative = high < 0
    low = np.where(negative, ~low + np.uint64(1), low)
    high = np.where(negative, ~high + (low == 0), high)
    lengths = np.ones(len(low), np.int64)
    for k in range(1, MAX_BYTES):
        reached = ~_less((low, high), 1 << (8 * k - 1))
        if not reached.any():
            break
        lengths += reached
    return lengths


def _big_endian(source: Source, starts: Ints) -> Words:
    return source.words[starts].byteswap()


def _less(pair: Pair, bound: int) -> Mask:
    low, high = pair
    bound_high, bound_low = divmod(bound, 1 << _WORD_BITS)
    less: Mask = (high < bound_high) | ((high == bound_high) & (low < np.uint64(bound_low)))
    return less
