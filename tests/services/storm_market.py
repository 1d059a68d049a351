"""Trades and quotes without end, with everything in them that a sequence check must tell."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from k2app.market.topics import DataType
from tests.pipeline.homes import DAY_US, OPEN_US

SYMBOLS = 96
"""Enough that each of twelve partitions has some."""

DAYS = 20
"""Trading dates, the last of which does not end: their states live side by side, and none of them leaves."""

BLOCKS_PER_DAY = 40
"""Blocks after which every symbol counts from 1 again."""

STEP_US = 100
"""Microseconds between two rows."""

SHARES = {"late": 0.003, "unnumbered": 0.0005, "repeated": 0.003, "corrected": 0.001}
"""Share of the rows that each fault befalls."""

SKIPPED = 0.001
"""Share of the rows before which numbers are missing for good."""

LATE_BY_BLOCKS = 3
"""Most blocks by which a late row comes late."""

ROW = np.dtype([("symbol", "i4"), ("sequence", "i8"), ("place", "i8"), ("day", "i4"), ("corrected", "?")])
"""A row before it is dressed: `place` is unique, and prices, times and ids follow from it; sequence 0: none."""


class Stream:
    """Endless blocks of one data type; the same seed gives the same ones."""

    def __init__(self, data_type: DataType, seed: int) -> None:
        self.data_type = data_type
        self._rng = np.random.default_rng([seed, data_type is DataType.QUOTES])
        self._next = np.ones(SYMBOLS, np.int64)
        self._blocks = self._places = 0
        self._held: list[tuple[int, np.ndarray]] = []
        self._last = np.empty(0, ROW)

    def block(self, rows: int) -> pa.Table:
        """The next block, of about so many rows."""
        if self._blocks % BLOCKS_PER_DAY == 0 and self._blocks < BLOCKS_PER_DAY * DAYS:
            self._next[:] = 1
        fresh = self._numbered(rows)
        late = self._drawn(fresh, "late")
        fresh["sequence"][self._drawn(fresh, "unnumbered")] = 0
        again, corrected = (self._copies(fresh, kind) for kind in ("repeated", "corrected"))
        corrected["corrected"] = True
        self._held.append((self._blocks + int(self._rng.integers(1, LATE_BY_BLOCKS + 1)), fresh[late]))
        parts = [fresh[~late], again, corrected, *self._due()]
        self._blocks, self._last = self._blocks + 1, fresh
        return _dressed(np.concatenate(parts), self.data_type)

    def _numbered(self, rows: int) -> np.ndarray:
        found = np.zeros(rows, ROW)
        found["symbol"] = np.sort(self._rng.integers(0, SYMBOLS, rows))
        steps = 1 + np.where(self._rng.random(rows) < SKIPPED, self._rng.integers(1, 5, rows), 0)
        total = np.cumsum(steps)
        starts = np.searchsorted(found["symbol"], np.arange(SYMBOLS))
        before = np.append(0, total)[starts]
        found["sequence"] = self._next[found["symbol"]] - 1 + total - before[found["symbol"]]
        ends = np.searchsorted(found["symbol"], np.arange(SYMBOLS), side="right")
        self._next += np.append(0, total)[ends] - before
        # Symbols in turn, each in the order of its numbers.
        turn = np.arange(rows) - starts[found["symbol"]]
        found = found[np.lexsort((found["symbol"], turn))]
        found["place"] = self._places + np.arange(rows)
        found["day"] = min(self._blocks // BLOCKS_PER_DAY, DAYS - 1)
        self._places += rows
        return found

    def _drawn(self, rows: np.ndarray, kind: str) -> np.ndarray:
        return self._rng.random(len(rows)) < SHARES[kind]

    def _copies(self, fresh: np.ndarray, kind: str) -> np.ndarray:
        """Rows of this block or the last, once more."""
        both = np.concatenate([self._last, fresh])
        return both[self._drawn(both, kind) & (both["sequence"] > 0)]

    def _due(self) -> Iterator[np.ndarray]:
        due = [rows for block, rows in self._held if block <= self._blocks]
        self._held = [entry for entry in self._held if entry[0] > self._blocks]
        yield from due


def _dressed(rows: np.ndarray, data_type: DataType) -> pa.Table:
    n, place = len(rows), rows["place"]
    names = np.array([f"C{symbol:02}" for symbol in range(SYMBOLS)])
    price = 100 + place % 97 + rows["corrected"]
    sides = {
        DataType.TRADES: lambda: {
            "price": _whole(price),
            "quantity": _whole(1 + place % 9),
            "side": pa.array(np.array(["SELL", "BUY"])[place % 2]),
            "trade_id": pa.array([f"T{one}" for one in place]),
        },
        DataType.QUOTES: lambda: {
            "bid_price": _whole(price),
            "bid_quantity": _whole(1 + place % 9),
            "ask_price": _whole(price + 1),
            "ask_quantity": _whole(1 + place % 5),
        },
    }[data_type]()
    return pa.table(
        {
            "symbol": pa.array(names[rows["symbol"]]),
            "exchange": pa.array([""] * n),
            "asset_class": pa.array(["equities"] * n),
            "timestamp": _times(OPEN_US + rows["day"].astype(np.int64) * DAY_US + place * STEP_US),
            **sides,
            "currency": pa.array(["AUD"] * n),
            "conditions": pa.array([[]] * n, pa.list_(pa.string())),
            "sequence": pa.array(rows["sequence"], mask=rows["sequence"] == 0),
            "ingested_at": _times(np.full(n, OPEN_US)),
            "load_id": pa.nulls(n, pa.string()),
            "source_line": pa.nulls(n, pa.int64()),
            "attributes": pa.nulls(n, pa.map_(pa.string(), pa.string())),
        }
    )


def _whole(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers.astype(np.int32)).cast(pa.decimal128(10)).cast(pa.decimal128(18, 8))


def _times(micros: np.ndarray) -> pa.Array:
    return pa.array(micros).cast(pa.timestamp("us", "UTC"))
