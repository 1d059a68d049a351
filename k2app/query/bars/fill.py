"""Bars of intervals in which nothing was traded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.errors import RequestError
from k2app.market.clocks import Clock
from k2app.market.sessions import Int64s
from k2app.query.bars.clocks import Clocks
from k2app.query.bars.sql import KEYS

MAX_FILLED = 1_000_000
"""Bars of one answer before it is cut into pages: some hundred megabytes."""

PRICES = ("open", "high", "low", "close")

NOTHING = ("volume", "notional", "trades")
"""Columns that are 0 where nothing was traded."""


@dataclass(frozen=True)
class Gaps:
    """Which intervals a question fills.

    Parameters
    ----------
    start_us, end_us
        The range; without a start from a key's first bar on, without an end to its last.
    carries
        Whether prices are those of the close before, as far as there is one.
    """

    clocks: Clocks
    start_us: int | None
    end_us: int | None
    carries: bool

    def fill(self, bars: pa.Table) -> pa.Table:
        """All intervals of each key, from bars ordered by key and start.

        Raises
        ------
        RequestError
            There are too many.
        """
        if bars.num_rows == 0:
            return bars
        starts = bars["start"].to_numpy()
        runs = list(_runs(bars))
        clocks = [self.clocks.of(bars["exchange"][first].as_py()) for first, _ in runs]
        ends = [self._range(starts[first:end]) for first, end in runs]
        _check(self.clocks.utc.interval.us, ends)
        grids = [
            _grid(clock, *span, starts[first:end])
            for clock, span, (first, end) in zip(clocks, ends, runs, strict=True)
        ]
        rows, owners = _placed(starts, runs, grids)
        return self._filled(bars, np.concatenate(grids), rows, owners)

    def _range(self, starts: Int64s) -> tuple[int, int]:
        first = int(starts[0]) if self.start_us is None else self.start_us
        return first, int(starts[-1]) + 1 if self.end_us is None else self.end_us

    def _filled(self, bars: pa.Table, grid: Int64s, rows: Int64s, owners: Int64s) -> pa.Table:
        empty = rows < 0
        given = pa.array(rows, mask=empty)
        before = _latest(rows, owners)
        filled = {}
        for name in bars.column_names:
            column = bars[name].combine_chunks()
            if name in KEYS:
                filled[name] = column.take(pa.array(owners))
            elif name == "start":
                filled[name] = pa.array(grid)
            elif name in PRICES and self.carries:
                closes = bars["close"].combine_chunks().take(pa.array(before, mask=before < 0))
                filled[name] = pc.if_else(pa.array(empty), closes, column.take(given))
            elif name in NOTHING:
                filled[name] = pc.fill_null(column.take(given), pa.scalar(0).cast(column.type))
            else:
                filled[name] = column.take(given)
        return pa.table(filled)


def _runs(bars: pa.Table) -> Iterator[tuple[int, int]]:
    """First row of each key, and the row after its last."""
    changes = np.zeros(bars.num_rows, np.bool_)
    changes[0] = True
    for name in KEYS:
        codes = bars[name].combine_chunks().dictionary_encode().indices.to_numpy()
        changes[1:] |= codes[1:] != codes[:-1]
    edges = [*np.flatnonzero(changes).tolist(), bars.num_rows]
    return pairwise(edges)


def _check(length_us: int, spans: list[tuple[int, int]]) -> None:
    bars = sum(max(0, end - first) // length_us + 1 for first, end in spans)
    if bars > MAX_FILLED:
        raise RequestError(
            "fill",
            f"would make about {bars} bars, at most {MAX_FILLED} are; take a longer interval, a shorter range, "
            "fewer symbols, or fill=none",
        )


def _grid(clock: Clock, first_us: int, end_us: int, starts: Int64s) -> Int64s:
    # Where an hour came twice, the last bars of a trading date may lie between those of the next one.
    return np.union1d(clock.starts(first_us, end_us), starts)


def _placed(starts: Int64s, runs: list[tuple[int, int]], grids: list[Int64s]) -> tuple[Int64s, Int64s]:
    """For each interval the row of its bar (-1: none), and the first row of its key."""
    rows, owners = [], []
    for (first, end), grid in zip(runs, grids, strict=True):
        own = np.full(len(grid), -1, np.int64)
        own[np.searchsorted(grid, starts[first:end])] = np.arange(first, end)
        rows.append(own)
        owners.append(np.full(len(grid), first, np.int64))
    return np.concatenate(rows), np.concatenate(owners)


def _latest(rows: Int64s, owners: Int64s) -> Int64s:
    """For each interval the row of the last bar of its key up to it; -1: none."""
    latest = np.maximum.accumulate(rows)
    return np.where(latest >= owners, latest, -1)
