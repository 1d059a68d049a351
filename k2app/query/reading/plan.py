"""Which data files hold the rows of a snapshot that a filter may match.

Snapshots never change, so a plan is kept as long as it is used. Plans are made for whole days and every symbol, and
narrowed down by the bounds of each file: questions differ in little but time and symbol, and a new plan takes 4 ms
even of five files.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import IcebergType, StringType, TimestamptzType

from k2app.errors import OperatorError, TransientError
from k2app.query.reading.filters import Filter, Term, pruning

FILES_KEPT = 131_072
"""Files of all plans in memory: about 100 MB."""

DAY_US = 86_400_000_000
"""Microseconds of what the tables are partitioned by."""

V = TypeVar("V")


def _one(_value: object) -> int:
    return 1


class Recent(Generic[V]):
    """The values used last, by key; safe between threads.

    Parameters
    ----------
    size
        What all values may weigh together; the value asked for last is kept, whatever it weighs.
    weigh
        Weight of a value; without it every value weighs 1.
    """

    def __init__(self, size: int, weigh: Callable[[V], int] = _one) -> None:
        self._size = size
        self._weigh = weigh
        self._held = 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of `key`; made (outside the lock, so perhaps twice) where it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key in self._values:
                self._held -= self._weigh(self._values.pop(key))
            self._values[key] = value
            self._held += self._weigh(value)
            while self._held > self._size and len(self._values) > 1:
                self._held -= self._weigh(self._values.popitem(last=False)[1])
        return value


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a plan."""

    location: str
    rows: int
    size_bytes: int
    first_us: int | None = None
    last_us: int | None = None
    """Bounds of the column `timestamp`, where the table has one and the file says."""
    first_symbol: bytes | None = None
    last_symbol: bytes | None = None
    """Bounds of the column `symbol` in the same way, as UTF-8; no symbol lies outside."""

    def has_time(self, term: Term) -> bool:
        """Whether a row may meet a condition on time."""
        value = term.value
        if self.first_us is None or self.last_us is None or not isinstance(value, int):
            return True
        if term.operator == ">=":
            return self.last_us >= value
        return self.first_us < value + (term.operator == "<=")

    def has_symbol(self, symbols: Sequence[bytes]) -> bool:
        """Whether a row may have one of some symbols, which are in order."""
        at = 0 if self.first_symbol is None else bisect_left(symbols, self.first_symbol)
        return at < len(symbols) and (self.last_symbol is None or symbols[at] <= self.last_symbol)


def _ignored(_outcome: str) -> None:
    pass


@dataclass(frozen=True)
class Planner:
    """Plans, and those made before."""

    plans: Recent[tuple[DataFile, ...]] = field(default_factory=lambda: Recent(FILES_KEPT, _weight))
    told: Callable[[str], None] = _ignored
    """Hears of each plan whether it was `made` or `found`."""

    def files(self, table: Table, snapshot: Snapshot, terms: Filter) -> tuple[DataFile, ...]:
        """Data files of a snapshot that may hold rows of the filter, by location.

        Pruned by partition and by the columns' bounds; rows that do not match remain in them.

        Raises
        ------
        OperatorError
            The snapshot has delete files, which would have to be applied to every read.
        TransientError
            A manifest could not be read.
        """
        wide = tuple(dict.fromkeys(_widened(term) for term in terms if not _is_symbol(term)))
        key = (table.metadata.table_uuid, snapshot.snapshot_id, wide)
        try:
            files = self._planned(key, lambda: _plan(table, snapshot, wide))
        except OSError as error:
            raise TransientError(f"snapshot {snapshot.snapshot_id} could not be read: {error}") from error
        for term in filter(_is_time, terms):
            files = tuple(file for file in files if file.has_time(term))
        for symbols in map(_symbols, filter(_is_symbol, terms)):
            files = tuple(file for file in files if file.has_symbol(symbols))
        return files

    def _planned(self, key: Hashable, make: Callable[[], tuple[DataFile, ...]]) -> tuple[DataFile, ...]:
        outcome = "found"

        def made() -> tuple[DataFile, ...]:
            nonlocal outcome
            outcome = "made"
            return make()

        files = self.plans.get(key, made)
        self.told(outcome)
        return files


def _weight(plan: tuple[DataFile, ...]) -> int:
    """Files of a plan; one that has none takes its place too."""
    return len(plan) + 1


def _is_symbol(term: Term) -> bool:
    return term.column == "symbol" and term.operator in {"=", "in"} and not term.or_null


def _symbols(term: Term) -> list[bytes]:
    """The symbols of a condition as UTF-8, in order."""
    symbols = term.value if isinstance(term.value, tuple) else (term.value,)
    return sorted(str(symbol).encode() for symbol in symbols)


def _is_time(term: Term) -> bool:
    return term.column == "timestamp" and term.is_time and term.operator in {">=", "<", "<="}


def _widened(term: Term) -> Term:
    """A condition on time that holds for whole days, as partitions do; any other as it is."""
    if not _is_time(term) or not isinstance(term.value, int):
        return term
    day = term.value // DAY_US
    if term.operator == ">=":
        return replace(term, value=day * DAY_US)
    is_whole = term.operator == "<" and term.value % DAY_US == 0
    return replace(term, operator="<", value=(day if is_whole else day + 1) * DAY_US)


def _deletes(manifest: ManifestFile) -> bool:
    """Whether a manifest lists delete files that are in force; after a rewrite some list only removed ones."""
    in_force = manifest.has_added_files() or manifest.has_existing_files()
    return manifest.content == ManifestContent.DELETES and in_force


def _plan(table: Table, snapshot: Snapshot, terms: Filter) -> tuple[DataFile, ...]:
    if any(map(_deletes, snapshot.manifests(table.io))):
        raise OperatorError(
            f"snapshot {snapshot.snapshot_id} of {'.'.join(table.name())} has delete files, written by another "
            "engine; K2 never deletes rows and does not read around such files: rewrite the table's data files "
            "with that engine (Spark: rewrite_data_files), or query an earlier snapshot"
        )
    seen = _at_schema_of(snapshot, table)
    scan = seen.scan(row_filter=pruning(terms), snapshot_id=snapshot.snapshot_id)
    times, symbols = _fields(seen, "timestamp", TimestamptzType), _fields(seen, "symbol", StringType)
    found = (task.file for task in scan.plan_files())
    files = (
        DataFile(
            file.file_path,
            file.record_count,
            file.file_size_in_bytes,
            _time(_bound(file.lower_bounds, times)),
            _time(_bound(file.upper_bounds, times)),
            _bound(file.lower_bounds, symbols),
            _bound(file.upper_bounds, symbols),
        )
        for file in found
    )
    return tuple(sorted(files, key=lambda file: file.location))


def _at_schema_of(snapshot: Snapshot, table: Table) -> Table:
    """The table as its schema was at the snapshot.

    pyiceberg would take a filter's names for those of now: of a renamed column there would be none, and of a name that
    was given to another column the bounds of that one would count.
    """
    if snapshot.schema_id in (None, table.metadata.current_schema_id):
        return table
    metadata = table.metadata.model_copy(update={"current_schema_id": snapshot.schema_id})
    return Table(table.name(), metadata, table.metadata_location, table.io, table.catalog, table.config)


def _fields(table: Table, name: str, kind: type[IcebergType]) -> list[int]:
    """Id of the column of a name and type, if there is one."""
    return [f.field_id for f in table.schema().fields if f.name == name and isinstance(f.field_type, kind)]


def _bound(bounds: Mapping[int, bytes] | None, fields: Sequence[int]) -> bytes | None:
    return next((bounds[number] for number in fields if bounds and number in bounds), None)


def _time(bound: bytes | None) -> int | None:
    return None if bound is None else int(from_bytes(TimestamptzType(), bound))
