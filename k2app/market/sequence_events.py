"""Gap events: gathered as columns while a batch is judged, handed on as an Arrow table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from k2app.market.sequence_flags import Int32s, Int64s
from k2app.market.sequence_rules import INT64_MAX

EVENTS = ("opened", "filled", "abandoned", "merged")
"""Event by code."""

OPENED, FILLED, ABANDONED, MERGED = range(len(EVENTS))

SMALL_GAP = 10
"""Numbers; up to so many missing is `small`: a burst of lost packets. More is an outage."""

EVENT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("event_index", pa.int32(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("scope", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("from_sequence", pa.int64(), nullable=False),
        pa.field("to_sequence", pa.int64(), nullable=False),
        pa.field("missing", pa.int64(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("timestamp_us", pa.int64(), nullable=False),
    ]
)
"""One row per gap event, ordered by (row, event_index); no rows where nothing happened.

`row`: index of the arriving record in its batch. `event_index`: 0, 1, ... within it. `from_sequence` and
`to_sequence` are inclusive. `missing`: how many numbers the event is about (opened: now missing; filled: 1;
abandoned: missing to the end, uncertain ones not counted; merged: became uncertain), at most 2**63 - 1.
`severity`: `small` up to 10 of them, else `large`. `epoch`: that of the gap, so of an abandoned one the epoch
before the reset. `timestamp_us`: event time of the arriving record.
"""


class EventLog:
    """Events of one batch, in the order in which keys are judged; `epoch` is that of the key at hand."""

    __slots__ = ("_counts", "_ends", "_epochs", "_kinds", "_positions", "_starts", "epoch")

    def __init__(self) -> None:
        self.epoch = 0
        self._positions: list[int] = []
        self._kinds: list[int] = []
        self._epochs: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._counts: list[int] = []

    def opened(self, position: int, start: int, end: int) -> None:
        """Numbers are missing."""
        self._add(OPENED, position, start, end, end - start + 1)

    def filled(self, position: int, number: int, count: int) -> None:
        """Missing numbers came, one a row, from this position and number on."""
        self._positions.extend(range(position, position + count))
        self._kinds.extend([FILLED] * count)
        self._epochs.extend([self.epoch] * count)
        self._starts.extend(range(number, number + count))
        self._ends.extend(range(number, number + count))
        self._counts.extend([1] * count)

    def abandoned(self, position: int, start: int, end: int, missing: int) -> None:
        """A gap that a reset closed."""
        self._add(ABANDONED, position, start, end, missing)

    def merged(self, position: int, start: int, end: int) -> None:
        """Of these numbers it is no longer known whether they came."""
        self._add(MERGED, position, start, end, end - start + 1)

    def table(self, order: Int64s, symbols: pa.Array, scopes: Int32s, timestamp_us: Int64s) -> pa.Table:
        """The events as `EVENT_SCHEMA`.

        Parameters
        ----------
        order
            Row of the batch by position.
        symbols, scopes, timestamp_us
            Columns of the batch by row.
        """
        if not self._positions:
            return EVENT_SCHEMA.empty_table()
        rows = order[np.array(self._positions, np.int64)]
        by_row = np.argsort(rows, kind="stable")
        rows = rows[by_row]
        missing = np.array(self._counts, np.int64)[by_row]
        columns: dict[str, Any] = {
            "row": rows,
            "event_index": _index_within(rows),
            "event": pa.array(EVENTS).take(pa.array(np.array(self._kinds, np.int8)[by_row])),
            "symbol": symbols.take(pa.array(rows)).cast(pa.string()),
            "scope": scopes[rows],
            "epoch": np.array(self._epochs, np.int32)[by_row],
            "from_sequence": np.array(self._starts, np.int64)[by_row],
            "to_sequence": np.array(self._ends, np.int64)[by_row],
            "missing": missing,
            "severity": pa.array(["small", "large"]).take(pa.array((missing > SMALL_GAP).astype(np.int8))),
            "timestamp_us": timestamp_us[rows],
        }
        return pa.table(columns, schema=EVENT_SCHEMA)

    def _add(self, kind: int, position: int, start: int, end: int, missing: int) -> None:
        self._positions.append(position)
        self._kinds.append(kind)
        self._epochs.append(self.epoch)
        self._starts.append(start)
        self._ends.append(end)
        self._counts.append(min(missing, INT64_MAX))


def _index_within(rows: Int64s) -> Int32s:
    """0, 1, ... within each run of equal values."""
    positions = np.arange(len(rows))
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
    lengths = np.diff(starts, append=len(rows))
    index: Int32s = (positions - np.repeat(starts, lengths)).astype(np.int32)
    return index
