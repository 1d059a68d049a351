"""Quotes read by their times first: what DuckDB would give, several times as fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from k2app.market.sessions import Int64s
from k2app.query.reading.filters import Filter, Term
from k2app.query.reading.ordering import ORDER, order_of, times_of
from k2app.query.reading.picked import Picked, Picker
from k2app.query.reading.reader import QUOTES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE

MAX_QUOTES = 2_000_000
"""Quotes in memory at once: some hundred megabytes."""

SIDES = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")

NAMES = ("symbol", "exchange")
"""A trade's quote is one of the same of both."""

_SHOWN = Term("sequence_flag", "<>", DUPLICATE)


@dataclass(frozen=True)
class PickedQuotes:
    """Quotes that were found, and may be read: `symbol`, `exchange`, `us` (the time) and the sides."""

    picker: Picker
    picked: tuple[Picked, ...]

    def all(self) -> pa.Table:
        """All of them, in the total order within each symbol."""
        return self._read(self.picked)

    def newest(self) -> pa.Table:
        """The last of each symbol and exchange."""
        names = self.picker.fetch(self.picked, NAMES)
        times = _times(self.picked)
        latest = np.zeros(len(times), np.bool_)
        for rows in groups_of(names).values() if len(times) else ():
            latest[rows[times[rows] == times[rows].max()]] = True
        ends = np.cumsum([len(one.rows) for one in self.picked])[:-1]
        masks = np.split(latest, ends) if self.picked else []
        quotes = self._read([one.only(mask) for one, mask in zip(self.picked, masks, strict=True)])
        last = [rows[-1] for rows in groups_of(quotes).values()] if quotes.num_rows else []
        return quotes.take(pa.array(last, pa.int64()))

    def _read(self, picked: tuple[Picked, ...] | list[Picked]) -> pa.Table:
        times = _times(picked)
        # What breaks ties need not be read where there are none.
        ties = bool((np.diff(np.sort(times)) == 0).any())
        rows = self.picker.fetch(picked, (*NAMES, *(ORDER if ties else ORDER[:1]), *SIDES))
        order = order_of([rows]) if ties else np.argsort(times, kind="stable")
        if not np.array_equal(order, np.arange(len(order))):
            rows = rows.take(pa.array(order))
        plain = rows.select([*NAMES, *SIDES])
        return plain.add_column(len(NAMES), "us", pa.array(times_of(rows), pa.int64()))


def pick_quotes(reader: Reader, found: SnapshotSet, terms: Filter) -> PickedQuotes | None:
    """Find the quotes of a filter that are not hidden as duplicates; None: too many, or not to be read this way."""
    picker = Picker(reader, found, QUOTES, (*terms, _SHOWN))
    files = picker.files()
    if files is None:
        return None
    picked: list[Picked] = []
    held = 0
    for one in picker.pick(files):
        picked.append(one)
        held += len(one.rows)
        if held > MAX_QUOTES:
            return None
    return PickedQuotes(picker, tuple(picked))


def groups_of(rows: pa.Table) -> dict[tuple[str, str], Int64s]:
    """Rows of each symbol and exchange, in their order."""
    symbols, exchanges = (rows[name].combine_chunks().dictionary_encode() for name in NAMES)
    names = exchanges.dictionary.to_pylist()
    codes = symbols.indices.to_numpy().astype(np.int64) * len(names) + exchanges.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    distinct, starts = np.unique(codes[order], return_index=True)
    texts = symbols.dictionary.to_pylist()
    keys = [(texts[code // len(names)], names[code % len(names)]) for code in distinct.tolist()]
    return dict(zip(keys, np.split(order, starts[1:]), strict=True))


def _times(picked: tuple[Picked, ...] | list[Picked]) -> Int64s:
    return np.concatenate([np.zeros(0, np.int64), *(one.times_us for one in picked)])
