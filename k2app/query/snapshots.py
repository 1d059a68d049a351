"""Which snapshot of each table answers a query.

A *snapshot set* follows from one moment: for every table the newest snapshot committed by then. The moment is
the commit time of the main table's snapshot, never the clock: gaps are committed before the rows they belong
to, so at that moment both are there, and the same snapshot always gives the same set.

Retractions come after the rows they withdraw. So the ledger of loads takes part as of the time that was asked for: of
now, of `as_of`, of the snapshot that was named. Its version is the snapshot of the last retraction by then; where
there is none, it is not in the set. `SnapshotSet.as_of_us` counts it, so that `as_of` gives the same set again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from k2app.errors import RequestError
from k2app.lake.catalog import load
from k2app.lake.floors import summary_of
from k2app.lake.ledger import RETRACTS
from k2app.lake.tables import Name
from k2app.settings import Settings

if TYPE_CHECKING:
    from k2app.query.page import Place
    from k2app.query.requests import Request

FIRST_SEQUENCE_NUMBER = 1
"""Iceberg sequence number of a table's first snapshot. (Expiry may clear the parent of the oldest one kept.)"""

LOADS = Name.LOADS.value

MILLISECOND_US = 1_000
"""Microseconds; snapshots are stamped in milliseconds."""


@dataclass(frozen=True)
class Version:
    """One table at one snapshot; None before the first."""

    table: Table
    snapshot: Snapshot | None


@dataclass(frozen=True)
class SnapshotSet:
    """One version of each table.

    Parameters
    ----------
    versions
        By table name.
    main
        Tables whose rows are asked for; the others only tell of gaps or names.
    known_until_us
        Set when the moment asked for lies before the oldest snapshot kept: rows committed later are then left
        out one by one.
    retracted_until_us
        The same of the ledger of loads: retractions recorded later do not count.
    """

    versions: Mapping[str, Version]
    main: tuple[str, ...]
    known_until_us: int | None = None
    retracted_until_us: int | None = None

    @property
    def ids(self) -> dict[str, int | None]:
        """Snapshot ids by table name."""
        return {
            name: None if version.snapshot is None else version.snapshot.snapshot_id
            for name, version in sorted(self.versions.items())
        }

    @property
    def table_uuids(self) -> dict[str, str]:
        """UUIDs of the tables by name."""
        return {
            name: str(version.table.metadata.table_uuid) for name, version in sorted(self.versions.items())
        }

    @property
    def as_of_us(self) -> int | None:
        """When the newest snapshot of the main tables was committed, or the last retraction."""
        if self.known_until_us is not None:
            return self.known_until_us
        counted = self.retracted_until_us is None and LOADS in self.versions
        snapshots = (self.versions[name].snapshot for name in (*self.main, *((LOADS,) if counted else ())))
        return max((s.timestamp_ms * MILLISECOND_US for s in snapshots if s is not None), default=None)


@dataclass(frozen=True)
class Snapshots:
    """The lake's tables and their snapshots."""

    catalog: Catalog
    settings: Settings

    def resolve(
        self,
        main: tuple[str, ...],
        beside: tuple[str, ...],
        request: Request,
        *,
        include_retracted: bool = True,
    ) -> SnapshotSet:
        """Choose the set that a request asks for.

        Parameters
        ----------
        main
            Tables whose rows are asked for; the newest of their snapshots makes the moment.
        beside
            Further tables read at that moment.
        include_retracted
            False: retractions take part.

        Raises
        ------
        RequestError
            The snapshot is not one of the main tables, or has expired.
        OperatorError
            The lake has no such table yet, or another format.
        TransientError
            The catalog does not answer.
        """
        # Main tables first: what is beside them was committed before them.
        found = _resolve(self._load((*main, *beside)), main, request)
        if include_retracted:
            return found
        # A snapshot's set is of its own moment; a time's is of that time.
        until_us = found.as_of_us if request.snapshot_id is not None else request.as_of
        return _with_retractions(found, load(self.catalog, self.settings, Name.LOADS), until_us)

    def resume(self, main: tuple[str, ...], beside: tuple[str, ...], place: Place) -> SnapshotSet:
        """Find the set that a cursor was given out for.

        Raises
        ------
        RequestError
            A snapshot has expired, or the lake is another one.
        """
        tables = self._load((*main, *beside, *((LOADS,) if LOADS in place.snapshots else ())))
        if place.snapshots.keys() != tables.keys():
            raise RequestError("cursor", "is from another version of K2; start without it")
        versions = {name: _version(table, place.snapshots[name], "cursor") for name, table in tables.items()}
        found = SnapshotSet(versions, main, place.known_until_us, place.retracted_until_us)
        if found.table_uuids != place.tables:
            raise RequestError("cursor", "is from another lake; start without it")
        return found

    def _load(self, names: Iterable[str]) -> dict[str, Table]:
        return {name: load(self.catalog, self.settings, Name(name)) for name in names}


def _resolve(tables: Mapping[str, Table], main: tuple[str, ...], request: Request) -> SnapshotSet:
    if request.snapshot_id is not None:
        return _at_snapshot(tables, main, request.snapshot_id)
    if request.as_of is not None:
        return _at_time(tables, main, request.as_of)
    return _at_moment(tables, main, _newest_ms({name: tables[name] for name in main}, None))


def _with_retractions(found: SnapshotSet, table: Table, until_us: int | None) -> SnapshotSet:
    """The set with the last retraction by then (None: by now), if there is one."""
    if RETRACTS not in table.properties:
        return found
    until_ms = None if until_us is None else until_us // MILLISECOND_US
    last = _last_retraction(table, until_ms)
    if last is not None:
        return replace(found, versions={**found.versions, LOADS: Version(table, last)})
    oldest = _oldest(table)
    if oldest is None or (oldest.sequence_number or FIRST_SEQUENCE_NUMBER) <= FIRST_SEQUENCE_NUMBER:
        return found
    # The retractions' own snapshots have expired: the oldest one kept has all that came before it.
    bound = until_us if until_ms is not None and oldest.timestamp_ms > until_ms else None
    versions = {**found.versions, LOADS: Version(table, oldest)}
    return replace(found, versions=versions, retracted_until_us=bound)


def _last_retraction(table: Table, until_ms: int | None) -> Snapshot | None:
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if RETRACTS in summary_of(snapshot) and (until_ms is None or snapshot.timestamp_ms <= until_ms):
            return snapshot
    return None


def _at_snapshot(tables: Mapping[str, Table], main: tuple[str, ...], snapshot_id: int) -> SnapshotSet:
    for name in main:
        snapshot = tables[name].snapshot_by_id(snapshot_id)
        if snapshot is not None:
            moment = _at_moment(tables, main, snapshot.timestamp_ms)
            return SnapshotSet({**moment.versions, name: Version(tables[name], snapshot)}, main)
    raise RequestError(
        "snapshot_id",
        f"{snapshot_id} is not a snapshot of {' or '.join(main)}, or has expired; use as_of instead",
    )


def _at_time(tables: Mapping[str, Table], main: tuple[str, ...], as_of_us: int) -> SnapshotSet:
    mains = {name: tables[name] for name in main}
    moment_ms = _newest_ms(mains, as_of_us // MILLISECOND_US)
    expired = [name for name, table in mains.items() if _has_expired(table, as_of_us)]
    if not expired:
        return _at_moment(tables, main, moment_ms)
    # The oldest snapshot kept has every row of those before it: committed_at tells which.
    versions = {name: Version(table, _at_or_oldest(table, as_of_us)) for name, table in tables.items()}
    return SnapshotSet(versions, main, as_of_us)


def _at_moment(tables: Mapping[str, Table], main: tuple[str, ...], moment_ms: int | None) -> SnapshotSet:
    versions = {
        name: Version(table, None if moment_ms is None else _newest(table, moment_ms))
        for name, table in tables.items()
    }
    return SnapshotSet(versions, main)


def _newest_ms(tables: Mapping[str, Table], until_ms: int | None) -> int | None:
    newest = (_newest(table, until_ms) for table in tables.values())
    return max((snapshot.timestamp_ms for snapshot in newest if snapshot is not None), default=None)


def _newest(table: Table, until_ms: int | None) -> Snapshot | None:
    """Newest ancestor of the current snapshot (itself included) committed by then; branches do not count."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if until_ms is None or snapshot.timestamp_ms <= until_ms:
            return snapshot
    return None


def _oldest(table: Table) -> Snapshot | None:
    oldest = None
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        oldest = snapshot
    return oldest


def _has_expired(table: Table, as_of_us: int) -> bool:
    """Whether a snapshot may have existed at that time and is gone."""
    oldest = _oldest(table)
    if oldest is None or (oldest.sequence_number or FIRST_SEQUENCE_NUMBER) <= FIRST_SEQUENCE_NUMBER:
        return False
    return oldest.timestamp_ms > as_of_us // MILLISECOND_US


def _at_or_oldest(table: Table, as_of_us: int) -> Snapshot | None:
    return _newest(table, as_of_us // MILLISECOND_US) or _oldest(table)


def _version(table: Table, snapshot_id: int | None, parameter: str) -> Version:
    if snapshot_id is None:
        return Version(table, None)
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise RequestError(
            parameter, f"snapshot {snapshot_id} of {table.name()[-1]} has expired; start again"
        )
    return Version(table, snapshot)
