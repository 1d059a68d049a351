"""Which data files hold the rows of a snapshot that a filter may match.

Snapshots never change, so a plan is kept as long as it is used.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import NestedField, TimestamptzType

from k2app.errors import OperatorError, TransientError

PLANS_KEPT = 1_024
"""Plans in memory: a few kilobytes each, for tables of hundreds of files."""

V = TypeVar("V")


class Recent(Generic[V]):
    """The values used last, by key; safe between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
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
            self._values[key] = value
            while len(self._values) > self._size:
                self._values.popitem(last=False)
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


@dataclass(frozen=True)
class Planner:
    """Plans, and those made before."""

    plans: Recent[tuple[DataFile, ...]] = field(default_factory=lambda: Recent(PLANS_KEPT))

    def files(self, table: Table, snapshot: Snapshot, row_filter: BooleanExpression) -> tuple[DataFile, ...]:
        """Data files of a snapshot that may hold rows of the filter, by location.

        Pruned by partition and by the columns' bounds; rows that do not match remain in them.

        Raises
        ------
        OperatorError
            The snapshot has delete files, which would have to be applied to every read.
        TransientError
            A manifest could not be read.
        """
        key = (str(table.metadata.table_uuid), snapshot.snapshot_id, repr(row_filter))
        try:
            return self.plans.get(key, lambda: _plan(table, snapshot, row_filter))
        except OSError as error:
            raise TransientError(f"snapshot {snapshot.snapshot_id} could not be read: {error}") from error


def _deletes(manifest: ManifestFile) -> bool:
    """Whether a manifest lists delete files that are in force; after a rewrite some list only removed ones."""
    in_force = manifest.has_added_files() or manifest.has_existing_files()
    return manifest.content == ManifestContent.DELETES and in_force


def _plan(table: Table, snapshot: Snapshot, row_filter: BooleanExpression) -> tuple[DataFile, ...]:
    if any(map(_deletes, snapshot.manifests(table.io))):
        raise OperatorError(
            f"snapshot {snapshot.snapshot_id} of {'.'.join(table.name())} has delete files, written by another "
            "engine; K2 never deletes rows and does not read around such files: rewrite the table's data files "
            "with that engine (Spark: rewrite_data_files), or query an earlier snapshot"
        )
    scan = _at_schema_of(snapshot, table).scan(row_filter=row_filter, snapshot_id=snapshot.snapshot_id)
    tasks = (task.file for task in scan.plan_files())
    times = [
        f
        for f in table.schema().fields
        if f.name == "timestamp" and isinstance(f.field_type, TimestamptzType)
    ]
    files = (
        DataFile(
            file.file_path,
            file.record_count,
            file.file_size_in_bytes,
            _bound(file.lower_bounds, times),
            _bound(file.upper_bounds, times),
        )
        for file in tasks
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


def _bound(bounds: Mapping[int, bytes] | None, times: Sequence[NestedField]) -> int | None:
    found = [bounds[f.field_id] for f in times if bounds and f.field_id in bounds]
    return int(from_bytes(TimestamptzType(), found[0])) if found else None
