"""Sequence numbers for files that have none: per symbol and trading date, in the file's order, from 1.

1. `count` the rows of each symbol and date in a first pass; 2. `reserve` numbers after those that are taken, and
record that in the ledger; 3. `assign` them block by block in a second pass. A row that was refused takes none.
A file that was loaded before is numbered by the ranges of its first load, so that its rows come back the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from k2app.errors import OperatorError

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

FIRST: Final = 1
"""First number of a symbol and trading date."""


class Key(NamedTuple):
    """One numbering: a symbol on a trading date (days since 1970-01-01)."""

    symbol: str
    trading_date: int

    def named(self) -> str:
        """The numbering in words: `BHP on 2026-01-05`."""
        return f"{self.symbol} on {np.datetime64(self.trading_date, 'D')}"


class Range(NamedTuple):
    """Numbers, both ends included; empty if `last` is `first` - 1."""

    first: int
    last: int


Cursor = Mapping[Key, Range]
"""The numbers that are left, per symbol and trading date; at the start, those that were reserved."""


def count(blocks: Iterable[tuple[Any, Int32s]]) -> dict[Key, int]:
    """Rows of each symbol and trading date.

    Parameters
    ----------
    blocks
        Tables with a column `symbol`, and the trading date of each row (`sessions.trading_dates`).
    """
    total: Counter[Key] = Counter()
    for rows, trading_dates in blocks:
        keys, group = _groups(rows, trading_dates)
        total.update(dict(zip(keys, np.bincount(group, minlength=len(keys)).tolist(), strict=True)))
    return dict(total)


def reserve(counts: Mapping[Key, int], taken: Mapping[Key, int]) -> dict[Key, Range]:
    """As many numbers as there are rows, after the last that is taken.

    Parameters
    ----------
    taken
        Last number given so far (`ledger.taken`).
    """
    firsts = {key: taken.get(key, FIRST - 1) + 1 for key in counts}
    return {key: Range(firsts[key], firsts[key] + rows - 1) for key, rows in counts.items()}


def assign(rows: Any, trading_dates: Int32s, cursor: Cursor) -> tuple[Any, Cursor]:
    """Number rows in their order.

    Parameters
    ----------
    rows
        Table with columns `symbol` and `sequence`.
    trading_dates
        int32[n], of each row.
    cursor
        What `reserve` gave, or the cursor of the block before.

    Returns
    -------
    tuple
        The table with `sequence` filled, and the cursor for the next block.

    Raises
    ------
    OperatorError
        More rows than were reserved: the file is not the one that was counted.
    """
    keys, group = _groups(rows, trading_dates)
    counts = np.bincount(group, minlength=len(keys)).tolist()
    left = [cursor.get(key, Range(FIRST, FIRST - 1)) for key in keys]
    for key, rows_of_key, numbers in zip(keys, counts, left, strict=True):
        if numbers.first + rows_of_key - 1 > numbers.last:
            raise OperatorError(
                f"{key.named()}: more rows than the "
                f"{max(numbers.last - numbers.first + 1, 0)} numbers left that were reserved; the file or the program "
                "changed since it was counted; load it again"
            )
    firsts = np.array([numbers.first for numbers in left], np.int64)
    sequence = firsts[group] + _ranks(group, len(keys)) if len(group) else np.zeros(0, np.int64)
    place = rows.schema.get_field_index("sequence")
    numbered = rows.set_column(place, rows.schema.field(place), pa.array(sequence, pa.int64()))
    spent = {k: Range(n.first + c, n.last) for k, n, c in zip(keys, left, counts, strict=True)}
    return numbered, {**cursor, **spent}


def _groups(rows: Any, trading_dates: Int32s) -> tuple[list[Key], Int64s]:
    """The distinct symbols and dates, and the index of each row's among them."""
    if not len(trading_dates):
        return [], np.zeros(0, np.int64)
    symbols = rows["symbol"].combine_chunks().dictionary_encode()
    symbols = symbols.combine_chunks() if isinstance(symbols, pa.ChunkedArray) else symbols
    low = int(trading_dates.min())
    span = int(trading_dates.max()) - low + 1
    codes = symbols.indices.to_numpy().astype(np.int64) * span + (trading_dates.astype(np.int64) - low)
    distinct, group = np.unique(codes, return_inverse=True)
    names = symbols.dictionary.to_pylist()
    return [Key(names[code // span], low + code % span) for code in distinct.tolist()], group


def _ranks(group: Int64s, groups: int) -> Int64s:
    """How many rows of its group stand before each row."""
    order = np.argsort(group, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(group, minlength=groups)))[:-1]
    ranks = np.empty(len(group), np.int64)
    ranks[order] = np.arange(len(group)) - starts[group[order]]
    return ranks
