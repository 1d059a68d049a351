"""The ledger of loads: appended to by compare-and-set, so that two loads never get the same numbers.

A row whose state is `retracted` withdraws its load: readers leave its rows out from that snapshot on. Such a snapshot
says so in its summary, so that they find it without reading the ledger; the table property of the same name stays when
the snapshot has expired.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table

from k2app.errors import FencedError
from k2app.lake.catalog import answering, reading
from k2app.lake.commit import Addition, Commit, Pace
from k2app.lake.files import delete_files, write_files
from k2app.lake.lineage import ROWS
from k2app.lake.tables import SPECS, Name

RETRACTED: Final = "retracted"
"""State of a load that was withdrawn; final, whatever is recorded of it later."""

RETRACTS: Final = "k2.retracts"
"""Load ids that a snapshot withdraws, comma-separated; as a table property, those withdrawn last."""


def append_if(
    table: Table, rows: pa.Table, expected_snapshot_id: int | None, pace: Pace | None = None
) -> int:
    """Append `rows` if the table's current snapshot is still `expected_snapshot_id` (None: it has none).

    Parameters
    ----------
    rows
        Every column of `SPECS[Name.LOADS]`; at least one row.

    Returns
    -------
    int
        Id of the snapshot that holds the rows.

    Raises
    ------
    FencedError
        The table has moved: read it again and decide anew. Nothing was appended.
    CommitUnknownError
        It is not known whether the rows are in the table: read it and look.
    TransientError
        Catalog or warehouse do not answer. Nothing was appended.
    """
    withdrawn = _withdrawn(rows)
    files = write_files(table, SPECS[Name.LOADS], rows)
    doubts: list[bool] = []
    commit = Commit(lambda: _refreshed(table), str(uuid4()), pace or Pace(), lambda: doubts.append(True))

    def decide(now: Table) -> Addition:
        current = now.current_snapshot()
        found = None if current is None else current.snapshot_id
        if found != expected_snapshot_id:
            raise FencedError(f"{'.'.join(now.name())} moved from snapshot {expected_snapshot_id} to {found}")
        return Addition(files, {ROWS: str(rows.num_rows), **withdrawn}, withdrawn)

    try:
        outcome = commit.run(decide)
    except FencedError:
        if not doubts:
            delete_files(table, files)
        raise
    if outcome.snapshot is None:
        raise AssertionError("an append is never empty")
    return outcome.snapshot.snapshot_id


def read_loads(table: Table) -> pa.Table:
    """Read the ledger: one row per state of a load, in order of recording; columns of `SPECS[Name.LOADS]`."""
    with reading(f"table {'.'.join(table.name())}"):
        rows = table.scan().to_arrow()
    return rows.sort_by([("recorded_at", "ascending"), ("load_id", "ascending")])


class Retractions:
    """Ids of the loads that are retracted by now; the ledger is read anew only when it has changed."""

    def __init__(self, load: Callable[[], Table]) -> None:
        self._load = load
        self._snapshot_id: int | None = None
        self._ids: frozenset[str] = frozenset()

    def ids(self) -> frozenset[str]:
        """Load ids, as of now."""
        table = self._load()
        current = table.current_snapshot()
        if current is not None and current.snapshot_id != self._snapshot_id:
            self._ids, self._snapshot_id = _retracted(table), current.snapshot_id
        return self._ids


def _retracted(table: Table) -> frozenset[str]:
    if RETRACTS not in table.properties:
        return frozenset()
    with reading(f"table {'.'.join(table.name())}"):
        rows = table.scan(
            row_filter=EqualTo(term="state", value=RETRACTED), selected_fields=("load_id",)
        ).to_arrow()
    return frozenset(rows["load_id"].to_pylist())


def _withdrawn(rows: pa.Table) -> dict[str, str]:
    ids = rows.filter(pc.equal(rows["state"], RETRACTED))["load_id"].to_pylist()
    return {RETRACTS: ",".join(sorted(ids))} if ids else {}


def _refreshed(table: Table) -> Table:
    with answering(f"table {'.'.join(table.name())}"):
        return table.refresh()
