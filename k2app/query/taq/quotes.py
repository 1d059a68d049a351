"""The quotes that prevailed when trades were made.

A page of trades is joined with the quotes of its own stretch of time, by binary search in each symbol; of what was
quoted before it only the last quote of a symbol matters, and it is looked for further and further back. So the work
goes with the page, not with the range that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.market.sessions import DAY_US, Int64s
from k2app.query.bars.order import order_of_all
from k2app.query.decimals import type_of
from k2app.query.reading.file_bounds import file_bounds
from k2app.query.reading.filters import Filter, any_of, between, equal, quoted
from k2app.query.reading.ordering import ORDER
from k2app.query.reading.reader import QUOTES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import judge
from k2app.query.requests import MAX_SYMBOLS
from k2app.query.taq.picked_quotes import MAX_QUOTES, SIDES, groups_of, pick_quotes

LOOK_BACK_US = (DAY_US // 24, DAY_US, 7 * DAY_US, 60 * DAY_US)
"""Microseconds that are looked back, one after the other; then all of the time before."""

_COLUMNS = f"symbol, exchange, epoch_us(timestamp) AS us, {', '.join(SIDES)}"

_SIDES = ", ".join(f"'{side}': {side}" for side in SIDES)

_SHOWN = "NOT retracted AND NOT duplicate"


@dataclass(frozen=True)
class Prevailing:
    """How quotes are chosen.

    Parameters
    ----------
    exchange
        The one that is asked for, if it is.
    max_age_us
        No quote is older; None: however old.
    strictly_before
        Whether a quote of the same time is too late.
    """

    reader: Reader
    found: SnapshotSet
    exchange: str | None
    max_age_us: int | None
    strictly_before: bool

    def quotes(self, trades: pa.Table) -> pa.Table:
        """For each trade (ordered by time) its quote: `us` and the sides; null where there is none."""
        if trades.num_rows == 0:
            return pa.table(
                {"us": pa.array([], pa.int64()), **{s: pa.array([], self._type(s)) for s in SIDES}}
            )
        times = _micros(trades)
        if self._is_large(trades, times):
            half = trades.num_rows // 2
            parts = [self.quotes(trades.slice(0, half)), self.quotes(trades.slice(half))]
            return pa.concat_tables(parts)
        first, last = int(times.min()), int(times.max())
        inside = self._inside(trades, first, last)
        rows = _last_before(trades, inside, strictly=self.strictly_before)
        before = self._before(trades.filter(pa.array(rows < 0)), first)
        rows = np.where(rows < 0, _last_before(trades, before, strictly=False), rows + before.num_rows)
        candidates = pa.concat_tables([before, inside]).combine_chunks()
        found = candidates.select(["us", *SIDES]).take(pa.array(rows, mask=rows < 0))
        return self._young(found, times)

    def _type(self, side: str) -> pa.DataType:
        return type_of(self.reader, self.found, side, QUOTES)

    def _is_large(self, trades: pa.Table, times: Int64s) -> bool:
        """Whether there are more quotes in the trades' time than may be in memory: then they are joined in parts."""
        first, last = int(times.min()), int(times.max())
        if first == last:
            return False
        terms = (*self._names(trades), *between("timestamp", first, last + 1))
        if sum(file.rows for file in self.reader.files(self.found, QUOTES, terms)) <= MAX_QUOTES:
            return False
        counted = self.reader.query(self.found, QUOTES, terms, "SELECT count(*) AS n FROM matching")
        return int(counted["n"][0].as_py()) > MAX_QUOTES

    def _inside(self, trades: pa.Table, first: int, last: int) -> pa.Table:
        """Quotes of the trades' own time, in the total order within each symbol."""
        terms = (*self._names(trades), *between("timestamp", first, last + 1))
        judged = judge(self.reader, self.found, QUOTES, terms)
        picked = None if judged.withdrawn else pick_quotes(self.reader, self.found, terms)
        if picked is not None:
            return picked.all()
        order = self._order(terms)
        body = f"{judged.sql} SELECT {_COLUMNS} FROM judged WHERE {_SHOWN} ORDER BY symbol, exchange, {order}"
        return self.reader.query(self.found, QUOTES, terms, body, judged.parameters)

    def _order(self, terms: Filter) -> str:
        """The total order without the columns that are the same in every row: they need not be read."""
        known = file_bounds(self.reader, self.found, QUOTES, terms)
        varying = [name for name in ORDER if name not in known or not known[name].constant]
        return ", ".join(f"{quoted(name)} ASC NULLS FIRST" for name in varying or ORDER)

    def _before(self, trades: pa.Table, end: int) -> pa.Table:
        """The last quote of each symbol and exchange before a time."""
        wanted = set(_keys(trades))
        tables = []
        for begin, until in self._windows(end):
            if not wanted:
                break
            symbols = {symbol for symbol, _ in wanted}
            terms = (*self._only(symbols), *between("timestamp", begin, until))
            tables.append(self._newest(terms))
            wanted -= set(_keys(tables[-1]))
        # A later window may have an older quote of a symbol that is found already: the last one counts.
        return pa.concat_tables(tables[::-1]) if tables else self._newest(between("timestamp", end, end))

    def _newest(self, terms: Filter) -> pa.Table:
        """The last quote of each symbol and exchange."""
        judged = judge(self.reader, self.found, QUOTES, terms)
        picked = None if judged.withdrawn else pick_quotes(self.reader, self.found, terms)
        if picked is not None:
            return picked.newest()
        nth = order_of_all(file_bounds(self.reader, self.found, QUOTES, terms))
        body = (
            f"{judged.sql} SELECT symbol, exchange, last.* FROM (SELECT symbol, exchange, "
            f"arg_max({{'us': epoch_us(timestamp), {_SIDES}}}, {nth}) AS last "
            f"FROM judged WHERE {_SHOWN} GROUP BY symbol, exchange) ORDER BY symbol, exchange"
        )
        return self.reader.query(self.found, QUOTES, terms, body, judged.parameters)

    def _windows(self, end: int) -> Iterator[tuple[int | None, int]]:
        """Stretches of time before one, each before the last; no further than the greatest age."""
        until = end
        for back_us in LOOK_BACK_US:
            begin = end - (back_us if self.max_age_us is None else min(back_us, self.max_age_us))
            if begin < until:
                yield begin, until
            until = begin
        oldest = None if self.max_age_us is None else end - self.max_age_us
        if oldest is None or oldest < until:
            yield oldest, until

    def _young(self, quotes: pa.Table, times: Int64s) -> pa.Table:
        if self.max_age_us is None:
            return quotes
        age = pc.subtract(pa.array(times), quotes["us"])
        young = pc.fill_null(pc.less_equal(age, self.max_age_us), fill_value=False)
        return pa.table(
            {
                name: pc.if_else(young, quotes[name], pa.scalar(None, quotes[name].type))
                for name in quotes.column_names
            }
        )

    def _names(self, trades: pa.Table) -> Filter:
        return self._only(set(pc.unique(trades["symbol"]).to_pylist()))

    def _only(self, symbols: set[str]) -> Filter:
        named = any_of("symbol", symbols) if len(symbols) <= MAX_SYMBOLS else ()
        return (*named, *equal("exchange", self.exchange))


def _last_before(trades: pa.Table, quotes: pa.Table, *, strictly: bool) -> Int64s:
    """Row of the last quote of each trade's symbol and exchange up to its time; -1: none.

    Of quotes at the same time the last one counts, as they are in the total order.
    """
    rows = np.full(trades.num_rows, -1, np.int64)
    if quotes.num_rows == 0:
        return rows
    times, quoted = _micros(trades), quotes["us"].to_numpy()
    of_quotes = groups_of(quotes)
    for key, places in groups_of(trades).items():
        own = of_quotes.get(key)
        if own is not None:
            at = np.searchsorted(quoted[own], times[places], side="left" if strictly else "right") - 1
            rows[places] = np.where(at < 0, -1, own[np.maximum(at, 0)])
    return rows


def _keys(rows: pa.Table) -> Iterator[tuple[str, str]]:
    return iter(groups_of(rows)) if rows.num_rows else iter(())


def _micros(trades: pa.Table) -> Int64s:
    times: Int64s = trades["timestamp"].cast(pa.int64()).to_numpy()
    return times
