"""The lake's own history: its snapshots, and what each of them brought."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from k2app.errors import GoneError
from k2app.lake.floors import summary_of
from k2app.lake.history import SnapshotSummary, summarise
from k2app.lake.tables import SPECS
from k2app.query.answers.page import from_cursor, to_cursor
from k2app.query.answers.result import Result
from k2app.query.history.requests import SnapshotRequest, SnapshotsRequest
from k2app.query.reading.moments import MILLISECOND_US
from k2app.query.reading.reader import Reader
from k2app.query.reading.snapshots import WAY_OUT, SnapshotSet
from k2app.query.times import EPOCH, MICROSECOND

TIME = pa.timestamp("us", tz="UTC")

SNAPSHOTS_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("snapshot_id", pa.int64()),
        ("parent_id", pa.int64()),
        ("committed_at", TIME),
        ("operation", pa.string()),
        ("rows_added", pa.int64()),
        ("total_rows", pa.int64()),
        ("commit_id", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("topics", pa.list_(pa.string())),
        ("offsets", pa.int64()),
    ]
)
"""One row per snapshot that is kept, in order of `committed_at`, `table` and age. `rows_added`: rows the table has more
than before (0: rewritten only). `commit_id`: of the flush that made it; null: not a flush. `topics` and `offsets`:
which topics its rows came from, and how many offsets it covers; empty and 0 if it was no flush. `parent_id` is null
where the parent has expired. `tags` are those of now, whichever moment is asked for: they are no part of a snapshot."""

_PLACE: list[tuple[str, pa.DataType]] = [
    ("log_id", pa.string()),
    ("topic", pa.string()),
    ("partition", pa.int32()),
]

SNAPSHOT_SCHEMA = pa.schema(
    [
        *SNAPSHOTS_SCHEMA,
        (
            "ranges",
            pa.list_(
                pa.struct(
                    [
                        *_PLACE,
                        ("start", pa.int64()),
                        ("end", pa.int64()),
                        ("skipped", pa.int64()),
                        ("hole_start", pa.int64()),
                    ]
                )
            ),
        ),
        ("floor", pa.list_(pa.struct([*_PLACE, ("next_offset", pa.int64())]))),
        ("flags", pa.map_(pa.string(), pa.int64())),
    ]
)
"""One row: a snapshot as in the list, and by partition of a topic the offsets [start, end) it added (`skipped`: offsets
that the log itself has no record at; `hole_start`: offsets [hole_start, start) were gone from the log and given up),
and the first offset that the table did not have after it (null: the snapshot says nothing of it); its rows by flag."""

TABLES = tuple(name.value for name in SPECS)

_CURSOR_TYPES = (int, str, int)
"""Commit time in microseconds, table, Iceberg sequence number: unique, and in order of age."""


def read_snapshots(reader: Reader, request: SnapshotsRequest) -> Result:
    """List the snapshots that are kept, newest first: those of the main branch, and those that tags keep.

    Raises
    ------
    RequestError
        The limit is larger than allowed, or the cursor is not one for this request.
    """
    reader.check_limit(request.limit)
    tables = TABLES if request.table is None else (request.table,)
    question = ["snapshots", request.identity()]
    place = None if request.cursor is None else from_cursor(request.cursor, question, _CURSOR_TYPES)
    if place is None:
        found = reader.snapshots.resolve(tables, (), request)
    else:
        found = reader.snapshots.resume(tables, (), place)
    descending = request.order == "desc"
    listed = sorted(_wanted(found, request), key=_key, reverse=descending)
    if place is not None:
        listed = [one for one in listed if (_key(one) < place.key if descending else _key(one) > place.key)]
    shown = listed[: request.limit]
    following = None
    if len(listed) > len(shown):
        following = found.place(_key(shown[-1]))
    return Result(
        pa.Table.from_pylist([_row(*one) for one in shown], schema=SNAPSHOTS_SCHEMA),
        found.ids,
        found.as_of_us,
        None if following is None else to_cursor(following, question),
    )


def read_snapshot(reader: Reader, request: SnapshotRequest) -> Result:
    """Describe one snapshot.

    Raises
    ------
    GoneError
        It is not there, or has expired.
    """
    found = reader.snapshots.resolve(TABLES, (), request)
    for table, snapshot in _listed(found):
        if snapshot.snapshot_id == request.id:
            said = summarise(snapshot)
            row = {**_row(table, snapshot), **_places(said), "flags": sorted(said["counts"].items())}
            rows = pa.Table.from_pylist([row], schema=SNAPSHOT_SCHEMA)
            return Result(rows, {table.name()[-1]: request.id}, said["committed_at_us"])
    raise GoneError("id", f"{request.id} is not a snapshot of the lake, or has expired; {WAY_OUT}")


_One = tuple[Table, Snapshot]


def _listed(found: SnapshotSet) -> Iterator[_One]:
    """Snapshots of the set's tables, up to those of the set."""
    for name, version in found.versions.items():
        until_us = found.cut_us(name)
        for snapshot in _kept(version.table, version.snapshot):
            if until_us is None or snapshot.timestamp_ms <= until_us // MILLISECOND_US:
                yield version.table, snapshot


def _kept(table: Table, newest: Snapshot | None) -> Iterator[Snapshot]:
    """A snapshot, its ancestors, and older ones that tags keep though the line to them has expired."""
    if newest is None:
        return
    refs = (r for r in table.metadata.refs.values() if r.snapshot_ref_type is SnapshotRefType.TAG)
    tagged = (table.snapshot_by_id(ref.snapshot_id) for ref in refs)
    older = (s for s in tagged if s is not None and _age(s) < _age(newest))
    seen: set[int] = set()
    for end in (newest, *older):
        for snapshot in ancestors_of(end, table.metadata):
            if snapshot.snapshot_id not in seen:
                seen.add(snapshot.snapshot_id)
                yield snapshot


def _wanted(found: SnapshotSet, request: SnapshotsRequest) -> Iterator[_One]:
    for table, snapshot in _listed(found):
        committed_us = snapshot.timestamp_ms * MILLISECOND_US
        after = request.start is None or committed_us >= request.start
        if after and (request.end is None or committed_us < request.end):
            yield table, snapshot


def _key(one: _One) -> tuple[int, str, int]:
    table, snapshot = one
    return snapshot.timestamp_ms * MILLISECOND_US, table.name()[-1], _age(snapshot)


def _age(snapshot: Snapshot) -> int:
    return snapshot.sequence_number or 0


def _row(table: Table, snapshot: Snapshot) -> dict[str, Any]:
    said, summary = summarise(snapshot), summary_of(snapshot)
    refs = table.metadata.refs.items()
    return {
        "table": table.name()[-1],
        "snapshot_id": said["id"],
        "parent_id": said["parent"],
        "committed_at": EPOCH + said["committed_at_us"] * MICROSECOND,
        "operation": said["operation"],
        "rows_added": int(summary.get("added-records", 0)) - int(summary.get("deleted-records", 0)),
        "total_rows": int(summary["total-records"]) if "total-records" in summary else None,
        "commit_id": said["commit_id"],
        "tags": sorted(
            name
            for name, ref in refs
            if ref.snapshot_id == said["id"] and ref.snapshot_ref_type is SnapshotRefType.TAG
        ),
        "topics": sorted({r.topic for r in said["ranges"]}),
        "offsets": sum(r.end - r.start for r in said["ranges"]),
    }


def _places(said: SnapshotSummary) -> dict[str, Any]:
    """Ranges and floor by partition, in order."""
    ranges = [
        {
            **r.place._asdict(),
            "start": r.start,
            "end": r.end,
            "skipped": r.skipped,
            "hole_start": None if r.hole is None else r.hole[0],
        }
        for r in sorted(said["ranges"], key=lambda r: r.place)
    ]
    floor = said["floor"]
    places = None if floor is None else sorted(floor.partitions.items())
    floors = [{**place._asdict(), "next_offset": at.next_offset} for place, at in places or ()]
    return {"ranges": ranges, "floor": None if places is None else floors}
