"""Which snapshot of each table answers a query.

A *snapshot set* follows from one moment: for every table the newest snapshot committed by then. The moment is
the commit time of the main table's snapshot, never the clock: gaps are committed before the rows they belong
to, so at that moment both are there, and the same snapshot always gives the same set. Where tables are named with
their snapshots, the others are of the moment of the newest one named; a tag names them all.

Retractions come after the rows they withdraw. So the ledger of loads takes part as of the time that was asked for: of
now, of `as_of`, of the snapshot that was named. Its version is the snapshot of the last retraction by then; where
there is none, it is not in the set. `SnapshotSet.as_of_us` counts it, so that `as_of` gives the same set again. (At a
tag it is the ledger's snapshot that the tag keeps: that of the last retraction may expire.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from k2app.errors import GoneError, OperatorError, RequestError
from k2app.lake.floors import summary_of
from k2app.lake.ledger import RETRACTS
from k2app.lake.observed import Observe, unobserved
from k2app.lake.table_cache import TableCache
from k2app.lake.tables import Name
from k2app.lake.tag_records import check_pinned, check_whole, find_tag
from k2app.query.answers.page import Key, Place
from k2app.query.pins import parse_pins
from k2app.query.reading import moments
from k2app.query.reading.moments import MILLISECOND_US
from k2app.settings import Settings

if TYPE_CHECKING:
    from k2app.query.requests import Request

LOADS = Name.LOADS.value

WAY_OUT = "as_of asks for what was known at a time, which needs no snapshot of then"
"""What may be asked when a snapshot has expired."""


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
        Set when the moment asked for lies before the oldest snapshot kept of a table: of such, rows committed later
        are left out one by one.
    retracted_until_us
        The same of the ledger of loads: retractions recorded later do not count.
    pin
        Parameter that named the set; None: it was the newest.
    """

    versions: Mapping[str, Version]
    main: tuple[str, ...]
    known_until_us: int | None = None
    retracted_until_us: int | None = None
    pin: str | None = None

    def cut_us(self, name: str) -> int | None:
        """Commit time up to which rows of a table count; None: all of its snapshot's."""
        snapshot = self.versions[name].snapshot
        until_us = self.known_until_us
        if until_us is None or snapshot is None or snapshot.timestamp_ms <= until_us // MILLISECOND_US:
            return None
        return until_us

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

    def place(self, key: Key) -> Place:
        """Where a page of this set ended: at the row with this key."""
        return Place(
            snapshots=self.ids,
            tables=self.table_uuids,
            known_until_us=self.known_until_us,
            retracted_until_us=self.retracted_until_us,
            key=key,
        )

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
    observe: Observe = unobserved
    tables: TableCache = field(init=False)

    def __post_init__(self) -> None:
        """Remember the tables."""
        object.__setattr__(self, "tables", TableCache(self.catalog, self.settings, self.observe))

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
        GoneError
            A snapshot that was named is not there (any more).
        RequestError
            There is no such tag, or it is half made.
        OperatorError
            The lake has no such table yet, or another format.
        TransientError
            The catalog does not answer.
        """
        if request.tag is not None:
            return self._at_tag(main, beside, request.tag, include_retracted=include_retracted)
        if request.snapshots is not None:
            return self._at_pins(main, beside, request.snapshots, include_retracted=include_retracted)
        # Main tables first: what is beside them was committed before them. The catalog is asked once for all.
        tables = self._load((*main, *beside, *(() if include_retracted else (LOADS,))))
        chosen = {name: tables[name] for name in (*main, *beside)}
        found = replace(_resolve(chosen, main, request), pin=request.pin)
        # A snapshot's set is of its own moment; a time's is of that time.
        until_us = found.as_of_us if request.snapshot_id is not None else request.as_of
        return found if include_retracted else _with_retractions(found, tables[LOADS], until_us)

    def resume(self, main: tuple[str, ...], beside: tuple[str, ...], place: Place) -> SnapshotSet:
        """Find the set that a cursor was given out for.

        Raises
        ------
        GoneError
            A snapshot has expired.
        RequestError
            The lake is another one.
        """
        tables = self._load((*main, *beside, *((LOADS,) if LOADS in place.snapshots else ())))
        if place.snapshots.keys() != tables.keys():
            raise RequestError("cursor", "is from another version of K2; start without it")
        versions = {name: _version(table, place.snapshots[name], "cursor") for name, table in tables.items()}
        found = SnapshotSet(versions, main, place.known_until_us, place.retracted_until_us, "cursor")
        if found.table_uuids != place.tables:
            raise RequestError("cursor", "is from another lake; start without it")
        return found

    def check_kept(self, found: SnapshotSet) -> None:
        """Find out whether a read failed because its snapshots have expired meanwhile.

        Raises
        ------
        GoneError
            One is not kept any more, and its files may be gone.
        """
        for name, snapshot_id in found.ids.items():
            _version(self._load((name,))[name], snapshot_id, found.pin or "snapshot_id")

    def _at_tag(
        self, main: tuple[str, ...], beside: tuple[str, ...], name: str, *, include_retracted: bool
    ) -> SnapshotSet:
        wanted = dict.fromkeys((*main, *beside, *(() if include_retracted else (LOADS,))))
        tables = self._load(wanted)
        ledger = self._load((LOADS,))[LOADS]
        try:
            tag = find_tag(ledger, name)
            check_whole(tag)
            versions = {of: _version(table, tag.snapshots.get(of), "tag") for of, table in tables.items()}
            check_pinned(tag, tables)
        except OperatorError as error:
            raise RequestError("tag", str(error)) from error
        if LOADS not in (*main, *beside) and LOADS in versions and versions[LOADS].snapshot is None:
            del versions[LOADS]
        return SnapshotSet(versions, main, pin="tag")

    def _at_pins(
        self, main: tuple[str, ...], beside: tuple[str, ...], text: str, *, include_retracted: bool
    ) -> SnapshotSet:
        pins = parse_pins(text)
        tables = self._load(dict.fromkeys((*main, *beside, *pins)))
        named = {name: _version(tables[name], number, "snapshots") for name, number in pins.items()}
        moment_ms = max((v.snapshot.timestamp_ms for v in named.values() if v.snapshot), default=None)
        wanted = dict.fromkeys((*main, *beside))
        others = {name: tables[name] for name in wanted if name not in named}
        found = _at_moment(others, main, moment_ms)
        taken = {**found.versions, **{name: named[name] for name in wanted if name in named}}
        found = replace(found, versions=taken, pin="snapshots")
        if include_retracted:
            return found
        if LOADS in named:
            ledger = {} if named[LOADS].snapshot is None else {LOADS: named[LOADS]}
            return replace(found, versions={**taken, **ledger})
        if moment_ms is None:
            return found
        return _with_retractions(found, self._load((LOADS,))[LOADS], moment_ms * MILLISECOND_US)

    def _load(self, names: Iterable[str]) -> dict[str, Table]:
        return self.tables.load(names)


def _resolve(tables: Mapping[str, Table], main: tuple[str, ...], request: Request) -> SnapshotSet:
    if request.snapshot_id is not None:
        return _at_snapshot(tables, main, request.snapshot_id)
    if request.as_of is not None:
        return _at_time(tables, main, request.as_of)
    return _at_moment(tables, main, moments.newest_ms({name: tables[name] for name in main}, None))


def _with_retractions(found: SnapshotSet, table: Table, until_us: int | None) -> SnapshotSet:
    """The set with the last retraction by then (None: by now), if there is one."""
    if RETRACTS not in table.properties:
        return found
    until_ms = None if until_us is None else until_us // MILLISECOND_US
    last = _last_retraction(table, until_ms)
    if last is not None:
        return replace(found, versions={**found.versions, LOADS: Version(table, last)})
    oldest = moments.oldest(table)
    if oldest is None or moments.began_with(oldest):
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
            others = {other: table for other, table in tables.items() if other != name}
            moment = _at_moment(others, main, snapshot.timestamp_ms)
            return replace(moment, versions={**moment.versions, name: Version(tables[name], snapshot)})
    raise GoneError(
        "snapshot_id", f"{snapshot_id} is not a snapshot of {' or '.join(main)}, or has expired; {WAY_OUT}"
    )


def _at_time(tables: Mapping[str, Table], main: tuple[str, ...], as_of_us: int) -> SnapshotSet:
    until_ms = as_of_us // MILLISECOND_US
    mains = {name: tables[name] for name in main}
    if not any(moments.has_expired(table, until_ms) for table in mains.values()):
        return _at_moment(tables, main, moments.newest_ms(mains, until_ms))
    # The oldest snapshot kept has every row of those before it: committed_at tells which.
    versions = {name: Version(table, moments.at_or_oldest(table, until_ms)) for name, table in tables.items()}
    return SnapshotSet(versions, main, as_of_us)


def _at_moment(tables: Mapping[str, Table], main: tuple[str, ...], moment_ms: int | None) -> SnapshotSet:
    if moment_ms is None:
        return SnapshotSet({name: Version(table, None) for name, table in tables.items()}, main)
    found = {name: moments.at_or_oldest(table, moment_ms) for name, table in tables.items()}
    # Of a table whose snapshot of that moment has expired, the oldest one kept is later.
    late = any(s is not None and s.timestamp_ms > moment_ms for s in found.values())
    versions = {name: Version(tables[name], snapshot) for name, snapshot in found.items()}
    return SnapshotSet(versions, main, moment_ms * MILLISECOND_US if late else None)


def _version(table: Table, snapshot_id: int | None, parameter: str) -> Version:
    if snapshot_id is None:
        return Version(table, None)
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise GoneError(
            parameter,
            f"snapshot {snapshot_id} of {table.name()[-1]} is not there, or has expired; start again: {WAY_OUT}",
        )
    return Version(table, snapshot)
