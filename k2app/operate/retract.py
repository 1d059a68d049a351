"""Withdrawing a load: marked in the ledger, never deleted.

From then on queries leave its rows out, and say how many; what was asked as of an earlier time, or on an earlier
snapshot, stays what it was. Its numbers stay taken, and its records stay seen: gaps do not open again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches

import pyarrow as pa
from pyiceberg.catalog import Catalog

from k2app.errors import CommitUnknownError, FencedError, OperatorError, TransientError
from k2app.lake.catalog import create_tables
from k2app.lake.catalog import load as load_table
from k2app.lake.ledger import RETRACTED, append_if, read_loads
from k2app.lake.tables import SPECS, Name
from k2app.load import ledger
from k2app.load.ledger import LoadEntry
from k2app.settings import Settings

ATTEMPTS = 50
"""Attempts to mark a load while others are recorded: each needs milliseconds."""

SHORTEST_PREFIX = 4
"""Characters of a load id that may stand for all of it: fewer are a slip of the hand."""


@dataclass(frozen=True)
class Retraction:
    """What became of a retraction."""

    entry: LoadEntry
    """The load, as of now."""
    already: bool
    """It was retracted before; nothing was changed."""


def retract(
    catalog: Catalog, settings: Settings, asked: str, reason: str | None, clock: Callable[[], datetime]
) -> Retraction:
    """Withdraw a load. Idempotent.

    Parameters
    ----------
    asked
        Its id, or the first characters of it.
    reason
        Kept in the ledger.

    Raises
    ------
    OperatorError
        There is no such load, or several; names the nearest.
    TransientError
        Other loads kept being recorded; nothing was changed.
    """
    create_tables(catalog, settings)
    marked: set[datetime] = set()
    for _ in range(ATTEMPTS):
        table = load_table(catalog, settings, Name.LOADS)
        entry = find(ledger.entries(read_loads(table)), asked)
        if entry.state == RETRACTED:
            return Retraction(entry, entry.recorded_at not in marked)
        now = replace(entry, state=RETRACTED, recorded_at=clock(), reason=reason)
        marked.add(now.recorded_at)
        current = table.current_snapshot()
        row = pa.Table.from_pylist([now.row()], schema=SPECS[Name.LOADS].arrow_schema)
        try:
            append_if(table, row, None if current is None else current.snapshot_id)
        except (FencedError, CommitUnknownError):
            # The next look tells whether it is there.
            continue
        return Retraction(now, already=False)
    raise TransientError(f"load {asked}: the ledger of loads kept changing; try again")


def find(entries: Sequence[LoadEntry], asked: str) -> LoadEntry:
    """The load with that id, or the one whose id begins so.

    Raises
    ------
    OperatorError
        There is none, or several.
    """
    found = [one for one in entries if one.load_id == asked]
    if not found and len(asked) >= SHORTEST_PREFIX:
        found = [one for one in entries if one.load_id.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(one.load_id for one in found)
        raise OperatorError(f"{asked} is the beginning of several loads: {listed}")
    raise OperatorError(f"there is no load {asked}; {_nearest(entries, asked)}")


def _nearest(entries: Sequence[LoadEntry], asked: str) -> str:
    if not entries:
        return "nothing was loaded yet"
    known = {one.load_id: one for one in entries}
    near = get_close_matches(asked, known, n=1, cutoff=0.0)[0]
    return f"the nearest is {near} ({known[near].file}); `k2 loads` lists them"
