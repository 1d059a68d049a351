"""Which snapshot a table had at a moment. Pure: over metadata as it was loaded."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

FIRST_SEQUENCE_NUMBER = 1
"""Iceberg sequence number of a table's first snapshot. (Expiry may clear the parent of the oldest one kept.)"""

MILLISECOND_US = 1_000
"""Microseconds; snapshots are stamped in milliseconds."""


def newest(table: Table, until_ms: int | None) -> Snapshot | None:
    """Newest ancestor of the current snapshot (itself included) committed by then; branches do not count."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if until_ms is None or snapshot.timestamp_ms <= until_ms:
            return snapshot
    return None


def newest_ms(tables: Mapping[str, Table], until_ms: int | None) -> int | None:
    """When the newest of the tables' snapshots was committed, of those by then; None: there was none."""
    found = (newest(table, until_ms) for table in tables.values())
    return max((snapshot.timestamp_ms for snapshot in found if snapshot is not None), default=None)


def oldest(table: Table) -> Snapshot | None:
    """Oldest ancestor of the current snapshot that is kept."""
    found = None
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        found = snapshot
    return found


def began_with(snapshot: Snapshot) -> bool:
    """Whether nothing came before this snapshot of a table."""
    return (snapshot.sequence_number or FIRST_SEQUENCE_NUMBER) <= FIRST_SEQUENCE_NUMBER


def has_expired(table: Table, until_ms: int) -> bool:
    """Whether a snapshot may have existed at that time and is gone."""
    first = oldest(table)
    return first is not None and not began_with(first) and first.timestamp_ms > until_ms


def at_or_oldest(table: Table, until_ms: int) -> Snapshot | None:
    """Newest snapshot by then; where those of that time have expired, the oldest kept, which has all their rows."""
    return newest(table, until_ms) or (oldest(table) if has_expired(table, until_ms) else None)
