"""The ledger of loads in the lake, as one process sees it: read once, then kept up to date by what it adds itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from k2app.errors import CommitUnknownError, FencedError, TransientError
from k2app.lake.catalog import load as load_table
from k2app.lake.ledger import append_if, read_loads
from k2app.lake.tables import SPECS, Name
from k2app.load import ledger
from k2app.load.ledger import LoadEntry
from k2app.settings import Settings

ATTEMPTS = 50
"""Attempts to add an entry while other loads do the same: each needs milliseconds."""


@dataclass
class Reservations:
    """The ledger. Its rows are read anew only if somebody else has added to it."""

    catalog: Catalog
    settings: Settings
    _rows: pa.Table | None = field(default=None, init=False)
    _snapshot: int | None = field(default=None, init=False)

    def rows(self) -> pa.Table:
        """Rows of the table `loads`, as of now."""
        return self._read(self._table())

    def reserve(self, decide: Callable[[pa.Table], LoadEntry]) -> LoadEntry:
        """Add an entry that depends on those that are there, by compare-and-set.

        Parameters
        ----------
        decide
            The entry, given the rows of the ledger; asked again if another load came between. Its load id is
            the same each time.

        Raises
        ------
        TransientError
            Others kept coming between. Nothing was added.
        """
        for _ in range(ATTEMPTS):
            table = self._table()
            entry = decide(self._read(table))
            if self._append(table, entry, partial(_same_load, entry)):
                return entry
        raise TransientError("the ledger of loads kept changing; try again")

    def add(self, entry: LoadEntry) -> None:
        """Add an entry whatever is there: it needs no look at the others.

        Raises
        ------
        TransientError
            Others kept coming between.
        """
        for _ in range(ATTEMPTS):
            if self._append(self._table(), entry, entry.__eq__):
                return
        raise TransientError(f"load {entry.load_id}: the ledger of loads kept changing")

    def _append(self, table: Table, entry: LoadEntry, is_it: Callable[[LoadEntry], bool]) -> bool:
        row = pa.Table.from_pylist([entry.row()], schema=SPECS[Name.LOADS].arrow_schema)
        before = _snapshot_of(table)
        try:
            after = append_if(table, row, before)
        except FencedError:
            return False
        except CommitUnknownError:
            return any(is_it(one) for one in ledger.entries(self.rows()))
        if self._rows is not None and self._snapshot == before:
            same_types = pa.Table.from_pylist([entry.row()], schema=self._rows.schema)
            self._rows, self._snapshot = pa.concat_tables([self._rows, same_types]), after
        return True

    def _read(self, table: Table) -> pa.Table:
        snapshot = _snapshot_of(table)
        if self._rows is None or self._snapshot != snapshot:
            self._rows, self._snapshot = read_loads(table), snapshot
        return self._rows

    def _table(self) -> Table:
        return load_table(self.catalog, self.settings, Name.LOADS)


def _same_load(one: LoadEntry, other: LoadEntry) -> bool:
    return one.load_id == other.load_id


def _snapshot_of(table: Table) -> int | None:
    current = table.current_snapshot()
    return None if current is None else current.snapshot_id
