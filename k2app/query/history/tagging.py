"""Which snapshots a new tag names."""

from __future__ import annotations

from k2app.errors import GoneError
from k2app.lake.tables import SPECS, Name
from k2app.query.reading.reader import GAPS, LOADS, QUOTES, REFERENCE_DATA, TRADES
from k2app.query.reading.snapshots import Snapshots
from k2app.query.requests import Request

MAIN = (TRADES, QUOTES, REFERENCE_DATA)
"""Tables that records become rows of; the newest of their snapshots makes the moment."""

BESIDE = (GAPS, Name.DEAD_LETTERS.value)
"""Tables committed before those: taken at that moment, so that they tell of nothing that is not there yet."""


def tag_set(snapshots: Snapshots, request: Request) -> dict[str, int | None]:
    """Snapshot id of every table, as a request would read them; None: the table had no snapshot.

    The ledger of loads is that of the time asked for, since retractions come after the rows they withdraw.

    Raises
    ------
    GoneError
        A snapshot of that time has expired: there is nothing that a tag could keep.
    """
    found = snapshots.resolve(MAIN, BESIDE, request)
    ledger = snapshots.resolve((LOADS,), (), request)
    if found.known_until_us is not None or ledger.known_until_us is not None:
        raise GoneError(
            request.pin or "as_of",
            "the snapshots of that time have expired, so no tag can keep them; tag a later time",
        )
    ids = {**found.ids, **ledger.ids}
    return {name.value: ids[name] for name in SPECS}
