"""The first rows of a table in its total order: one page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from k2app.query.answers.page import Key
from k2app.query.reading.filters import Filter, Term, quoted
from k2app.query.reading.ordering import ORDER, Ints, key_at, order_of, sortable
from k2app.query.reading.picked import Picked, Picker
from k2app.query.reading.plan import DataFile
from k2app.query.reading.reader import Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE, Judgement

MOST_TIES = 1_000_000
"""Rows beyond those wanted, at the times of the first and the last one, that are put in order; of more, DuckDB is
asked, which can be bounded in memory."""

LONG_AGO_US = -(2**63)
"""Before every time."""

ASCENDING = ", ".join(f"{quoted(column)} ASC NULLS FIRST" for column in ORDER)

DESCENDING = ", ".join(f"{quoted(column)} DESC NULLS LAST" for column in ORDER)

_KEY_COLUMNS = (
    'timestamp, sequence IS NOT NULL, coalesce(sequence, 0), log_id, topic, "partition"::BIGINT, "offset"'
)
_KEY_VALUES = (
    "make_timestamptz($key_0::BIGINT), $key_known::BOOLEAN, $key_1::BIGINT, $key_2::VARCHAR, $key_3::VARCHAR, "
    "$key_4::BIGINT, $key_5::BIGINT"
)


@dataclass(frozen=True)
class FirstRows:
    """Which rows, from where on, and which of their columns.

    Parameters
    ----------
    scope
        Every row of the range, on whichever page.
    judged
        What is known of retractions in that scope.
    duplicates
        Show rows flagged as duplicates too.
    columns
        To read; those of the order among them.
    after
        Key of the row before the first; None: from the beginning.
    """

    found: SnapshotSet
    table: str
    scope: Filter
    judged: Judgement
    duplicates: bool
    columns: tuple[str, ...]
    ascending: bool
    after: Key | None

    def read(self, reader: Reader, rows: int) -> pa.Table:
        """Read the first so many rows, in order, in the snapshot's types."""
        picked = None if self.judged.withdrawn else self._picked(reader, rows)
        return self._by_sql(reader, rows) if picked is None else picked

    @property
    def near(self) -> Filter:
        """The part of the cursor that planner and Parquet can prune by: its time."""
        if self.after is None:
            return ()
        timestamp_us = int(self.after[0] or 0)
        return (Term("timestamp", ">=" if self.ascending else "<=", timestamp_us, is_time=True),)

    def _picked(self, reader: Reader, rows: int) -> pa.Table | None:
        """Find the rows by time, then read them; None: it cannot be done this way."""
        shown = () if self.duplicates else (Term("sequence_flag", "<>", DUPLICATE),)
        picker = Picker(reader, self.found, self.table, (*self.scope, *self.near, *shown))
        files = picker.files()
        if files is None:
            return None
        nearest = _Nearest(rows, self.ascending, None if self.after is None else int(self.after[0] or 0))
        picked = nearest.of(picker, files)
        if sum(len(one.rows) for one in picked) > rows + MOST_TIES:
            return None
        return self._in_order(picker.fetch(picked, self.columns)).slice(0, rows)

    def _in_order(self, found: pa.Table) -> pa.Table:
        order = order_of([found]) if found.num_rows else np.zeros(0, np.int64)
        if self.after is not None:
            key, cut = sortable(self.after), bisect_right if self.ascending else bisect_left
            at = cut(order, key, key=lambda row: sortable(key_at(found, int(row))))
            order = order[at:] if self.ascending else order[:at]
        order = order if self.ascending else order[::-1]
        return found if np.array_equal(order, np.arange(found.num_rows)) else found.take(pa.array(order))

    def _by_sql(self, reader: Reader, rows: int) -> pa.Table:
        order = ASCENDING if self.ascending else DESCENDING
        where, parameters = self._beyond()
        shown = "NOT retracted" if self.duplicates else "NOT retracted AND NOT duplicate"
        columns = ", ".join(map(quoted, self.columns))
        body = f"{self.judged.sql} SELECT {columns} FROM judged WHERE {shown} AND {where} ORDER BY {order} LIMIT $rows"
        parameters = {**parameters, **self.judged.parameters, "rows": rows}
        found = reader.query(self.found, self.table, (*self.scope, *self.near), body, parameters)
        arrow = reader.scanner.shape(self.found.versions[self.table]).arrow
        return found.cast(pa.schema([arrow.field(name) for name in self.columns]))

    def _beyond(self) -> tuple[str, dict[str, object]]:
        if self.after is None:
            return "true", {}
        values: dict[str, object] = {f"key_{n}": value for n, value in enumerate(self.after)}
        sequence = self.after[1]
        known = {"key_known": sequence is not None, "key_1": 0 if sequence is None else sequence}
        return f"({_KEY_COLUMNS}) {'>' if self.ascending else '<'} ({_KEY_VALUES})", values | known


class _Nearest:
    """The rows that come first by time, and those that share the time of the last of them.

    Parameters
    ----------
    rows
        How many are wanted.
    after_us
        Rows of this time may come before the first that is wanted: they are kept, and not counted.
    """

    def __init__(self, rows: int, ascending: bool, after_us: int | None) -> None:
        self._rows = rows
        # Descending times are ascending ones below zero.
        self._sign = 1 if ascending else -1
        self._after = None if after_us is None else after_us * self._sign
        self._best: Ints = np.zeros(0, np.int64)

    def of(self, picker: Picker, files: tuple[DataFile, ...]) -> list[Picked]:
        """Pick them; files that lie beyond them are not opened."""
        picked: list[Picked] = []
        for file in sorted(files, key=self._edge):
            if self._is_beyond(self._edge(file)):
                break
            for one in picker.pick([file]):
                self._count(one)
                picked.append(self._kept(one))
        return [kept for one in picked if len((kept := self._kept(one)).rows)]

    def _edge(self, file: DataFile) -> int:
        """The time at which a file's rows begin, as they are asked for; long ago where nobody knows."""
        edge_us = file.first_us if self._sign > 0 else file.last_us
        return LONG_AGO_US if edge_us is None else edge_us * self._sign

    def _is_beyond(self, edge: int) -> bool:
        return len(self._best) >= self._rows and edge > self._best[-1]

    def _count(self, one: Picked) -> None:
        times = one.times_us * self._sign
        counted = times if self._after is None else times[times > self._after]
        best = np.concatenate([self._best, counted])
        self._best = np.sort(best)[: self._rows] if len(best) <= self._rows else self._smallest(best)

    def _smallest(self, times: Ints) -> Ints:
        found: Ints = np.sort(np.partition(times, self._rows - 1)[: self._rows])
        return found

    def _kept(self, one: Picked) -> Picked:
        if len(self._best) < self._rows:
            return one
        return one.only(one.times_us * self._sign <= self._best[-1])
