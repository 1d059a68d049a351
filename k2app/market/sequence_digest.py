"""An order-independent digest of sequence states, computed a column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

UInt64s = npt.NDArray[np.uint64]


def digest(
    symbol_hashes: UInt64s,
    columns: Iterable[npt.NDArray[Any]],
    ranges: Iterable[Mapping[int, Sequence[tuple[int, int]]]],
) -> str:
    """Digest rows that are told apart by a hash, columns of integers, and ranges that some rows have.

    Each row is hashed to 64 bits and the hashes are added up, so that neither the order of the rows nor
    the process matters. Integers count modulo 2**64.

    Returns
    -------
    str
        Number of rows and the sum: `5000-9f86d081884c7d65`.
    """
    hashes = _mixed(symbol_hashes)
    for column in columns:
        hashes = _mixed(hashes ^ column.astype(np.int64).view(np.uint64))
    total = int(hashes.sum(dtype=np.uint64))
    for kind, by_row in enumerate(ranges, 1):
        total += _ranges_sum(hashes, by_row, kind)
    return f"{len(hashes)}-{total % 2**64:016x}"


def _ranges_sum(hashes: UInt64s, by_row: Mapping[int, Sequence[tuple[int, int]]], kind: int) -> int:
    """Sum of the hashes of (row, kind, start, end)."""
    if not by_row:
        return 0
    rows = np.repeat(np.fromiter(by_row, np.int64, len(by_row)), [len(ranges) for ranges in by_row.values()])
    numbers = chain.from_iterable(chain.from_iterable(by_row.values()))
    bounds = np.fromiter(numbers, np.int64, 2 * len(rows)).view(np.uint64)
    mixed = _mixed(_mixed(hashes[rows] + np.uint64(kind) ^ bounds[0::2]) ^ bounds[1::2])
    return int(mixed.sum(dtype=np.uint64))


def _mixed(values: UInt64s) -> UInt64s:
    """Spread each value over its 64 bits. Source: SplitMix64 (Steele, Lea, Flood 2014), its output step."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
