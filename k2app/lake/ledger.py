"""The ledger of loads: appended to by compare-and-set, so that two loads never get the same numbers."""

from __future__ import annotations

from uuid import uuid4

import pyarrow as pa
from pyiceberg.table import Table

from k2app.errors import FencedError
from k2app.lake.catalog import answering, reading
from k2app.lake.commit import Addition, Commit, Pace
from k2app.lake.files import delete_files, write_files
from k2app.lake.lineage import ROWS
from k2app.lake.tables import SPECS, Name


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
    files = write_files(table, SPECS[Name.LOADS], rows)
    doubts: list[bool] = []
    commit = Commit(lambda: _refreshed(table), str(uuid4()), pace or Pace(), lambda: doubts.append(True))

    def decide(now: Table) -> Addition:
        current = now.current_snapshot()
        found = None if current is None else current.snapshot_id
        if found != expected_snapshot_id:
            raise FencedError(f"{'.'.join(now.name())} moved from snapshot {expected_snapshot_id} to {found}")
        return Addition(files, {ROWS: str(rows.num_rows)})

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


def _refreshed(table: Table) -> Table:
    with answering(f"table {'.'.join(table.name())}"):
        return table.refresh()
