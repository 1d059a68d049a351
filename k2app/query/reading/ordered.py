"""Rows of one or two tables in the total order, window after window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from k2app.query.beside import made_ahead
from k2app.query.reading.ordering import Ints, key_at, keys_of, order_of, sortable, times_of
from k2app.query.reading.reader import Reader
from k2app.query.reading.taking import take_rows
from k2app.query.reading.window_rows import WindowRows
from k2app.query.reading.windows import WINDOW_ROWS, windows

PIECE_ROWS = 32_768
"""Rows handed on at a time: twenty megabytes of text, which malloc still takes from memory that was used before."""

Place = tuple[int, tuple[Any, ...]]
"""A row: number of its table, and its key in `ordering.ORDER`."""


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of several tables.

    Parameters
    ----------
    tables
        Of each table its rows, in order.
    which
        For each row, in order, the number of its table.
    """

    tables: tuple[pa.Table, ...]
    which: Ints

    def __len__(self) -> int:
        return len(self.which)

    @property
    def places(self) -> Ints:
        """For each row its number in the concatenation of the tables."""
        order = np.argsort(self.which, kind="stable")
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return places

    @property
    def times(self) -> Ints:
        """Time of each row, microseconds."""
        return np.concatenate([times_of(table) for table in self.tables])[self.places]

    def place(self, row: int) -> Place:
        """Where a row stands in the order."""
        table = int(self.which[row])
        return table, key_at(self.tables[table], int(np.count_nonzero(self.which[:row] == table)))

    def slice(self, start: int, end: int) -> Piece:
        """Some of the rows."""
        which = self.which[start:end]
        firsts = [int(np.count_nonzero(self.which[:start] == n)) for n in range(len(self.tables))]
        counts = [int(np.count_nonzero(which == n)) for n in range(len(self.tables))]
        tables = (t.slice(a, n) for t, a, n in zip(self.tables, firsts, counts, strict=True))
        return Piece(tuple(tables), which)

    def every_place(self) -> Iterator[Place]:
        """Where each row stands, in order."""
        keys = [keys_of(table) for table in self.tables]
        for table in self.which.tolist():
            yield table, next(keys[table])


def ordered(
    reader: Callable[[], Reader],
    rows: Sequence[WindowRows],
    after: Place | None,
    *,
    descending: bool = False,
    piece_rows: int = PIECE_ROWS,
    window_rows: int = WINDOW_ROWS,
    ahead: bool = True,
) -> Iterator[Piece]:
    """Read rows in order, from the first after a place.

    Parameters
    ----------
    reader
        Gives the query's way to the lake, asked anew for each window: time may pass between two.
    ahead
        Make the next piece while one is used.

    Returns
    -------
    iterator
        Pieces of at most `piece_rows`; one without rows where there are none.
    """
    for window in windows(reader, [one.source for one in rows], window_rows, descending=descending):
        # One window is in memory at a time: reading one keeps every processor busy already.
        pieces = _pieces(
            [one.read(reader(), window) for one in rows], after, descending=descending, piece_rows=piece_rows
        )
        yield from made_ahead(pieces) if ahead else (make() for make in pieces)
        del pieces


def _pieces(
    tables: Sequence[pa.Table], after: Place | None, *, descending: bool, piece_rows: int
) -> Iterator[Callable[[], Piece]]:
    """What makes each piece of a window."""
    order = order_of(tables)[:: -1 if descending else 1]
    if after is not None:
        order = _following(tables, order, after, descending=descending)
    for start in range(0, max(len(order), 1), piece_rows):
        yield partial(_piece, tables, order[start : start + piece_rows])


def _piece(tables: Sequence[pa.Table], order: Ints) -> Piece:
    firsts = _firsts(tables)
    which = np.searchsorted(firsts, order, side="right") - 1
    taken = (take_rows(table, order[which == n] - firsts[n]) for n, table in enumerate(tables))
    return Piece(tuple(taken), which)


def _firsts(tables: Sequence[pa.Table]) -> Ints:
    """Number of each table's first row in the concatenation; where a table is empty, the next has it."""
    return np.cumsum([0, *(table.num_rows for table in tables)])[:-1]


def _following(tables: Sequence[pa.Table], order: Ints, after: Place, *, descending: bool) -> Ints:
    """The part of the order after a place."""
    times = np.concatenate([times_of(table) for table in tables])[order]
    timestamp_us = after[1][0]
    low, high = (
        int(
            np.searchsorted(
                -times if descending else times, -timestamp_us if descending else timestamp_us, side
            )
        )
        for side in ("left", "right")
    )
    there = (after[0], sortable(after[1]))
    for at in range(low, high):
        here = _place(tables, int(order[at]))
        if here < there if descending else here > there:
            return order[at:]
    return order[high:]


def _place(tables: Sequence[pa.Table], row: int) -> tuple[int, tuple[Any, ...]]:
    firsts = _firsts(tables)
    which = int(np.searchsorted(firsts, row, side="right")) - 1
    return which, sortable(key_at(tables[which], row - int(firsts[which])))
