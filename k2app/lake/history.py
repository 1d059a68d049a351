"""Reading the lake by where its rows came from, and what its snapshots say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThanOrEqual,
    NotEqualTo,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import LongType

from k2app.lake.catalog import reading
from k2app.lake.coordinates import within
from k2app.lake.floors import FLOOR, Floors, Place, Range, floor_in_force, lineage_of, summary_of
from k2app.lake.lineage import COMMIT_ID, COUNT, RANGE, ROWS, ranges_from_json

WINDOW_OFFSETS = 1_000_000
"""Offsets read at once: about 50 MB of the five columns that sequence states are made of."""

EPOCH: Final = date(1970, 1, 1)

STATE_COLUMNS: Final = ("symbol", "trading_date", "sequence", "timestamp", "offset")
"""Columns that sequence states are made of."""


class SnapshotSummary(TypedDict):
    """What one snapshot of the main branch says about itself."""

    id: int
    parent: int | None
    committed_at_us: int
    """When the snapshot was made, UTC microseconds (Iceberg keeps milliseconds)."""
    operation: str
    commit_id: str | None
    """None: not a flush (compaction, another program)."""
    rows: int
    """Rows added, as the flush counted them; 0 if it was none."""
    ranges: tuple[Range, ...]
    floor: Floors | None
    """None: the snapshot carries none (another program made it)."""
    counts: dict[str, int]
    """Rows added, by sequence flag."""


def snapshots(table: Table) -> list[SnapshotSummary]:
    """Snapshots of the main branch that are kept, oldest first."""
    return [summarise(snapshot) for snapshot in reversed(list(lineage_of(table.metadata)))]


def rows_between(
    table: Table, log_id: str, topic: str, partition: int, start: int, end: int | None = None
) -> Iterator[pa.Table]:
    """Read one partition's rows at offsets [start, end) in offset order, in bounded memory.

    Parameters
    ----------
    end
        None: up to the floor.

    Yields
    ------
    pa.Table
        Rows of at most `WINDOW_OFFSETS` offsets, not empty, ascending by offset: symbol (string), trading_date
        (date32), sequence (int64, nullable), timestamp (timestamp[us, UTC]), offset (int64). All of one snapshot:
        the table's as it was loaded.

    Raises
    ------
    TransientError
        The warehouse cannot be read.
    """
    place = Place(log_id, topic, partition)
    floor = floor_in_force(table.metadata).next_offset(place)
    end = floor if end is None else min(end, floor)
    spans = _spans(table, place, start, end)
    while spans:
        start = max(start, min(low for low, _ in spans))
        stop = min(start + WINDOW_OFFSETS, end)
        rows = _read(table, place, start, stop)
        if rows.num_rows > 0:
            yield rows
        start = stop
        spans = [(low, high) for low, high in spans if high >= start and start < end]


def rows_of_dates(
    table: Table, place: Place, symbols: list[str], dates: list[int], end: int
) -> Iterator[pa.Table]:
    """Read one partition's rows of some symbols on some trading dates, below offset `end`, in offset order.

    Parameters
    ----------
    dates
        Days since 1970-01-01.

    Yields
    ------
    pa.Table
        One table as `rows_between` gives them, or none.
    """
    is_in: Any = In
    condition = And(
        within(place, 0, end),
        is_in("symbol", symbols),
        is_in("trading_date", [(EPOCH + timedelta(days=day)).isoformat() for day in dates]),
    )
    rows = _scan(table, condition)
    if rows.num_rows > 0:
        yield rows


def visible_rows(
    table: Table,
    columns: Sequence[str],
    topic: str,
    symbols: list[str],
    first_us: int,
    last_us: int,
    retracted: Collection[str] = (),
) -> pa.Table:
    """Read a topic's rows of some symbols with event times in [first_us, last_us] that say what is visible.

    Duplicates are left out, and rows of retracted loads. Where loads are retracted, duplicates of others stay: the
    row that one of them repeats may be gone, and then it stands for it.

    Returns
    -------
    pa.Table
        `columns` of the rows, in no order; large strings as strings.

    Raises
    ------
    TransientError
        The warehouse cannot be read.
    """
    equal: Any = EqualTo
    differs: Any = NotEqualTo
    at_least: Any = GreaterThanOrEqual
    at_most: Any = LessThanOrEqual
    is_in: Any = In
    condition = And(
        equal("topic", topic),
        is_in("symbol", symbols),
        at_least("timestamp", _time_text(first_us)),
        at_most("timestamp", _time_text(last_us)),
        AlwaysTrue() if retracted else differs("sequence_flag", "duplicate"),
    )
    with reading(f"table {'.'.join(table.name())}"):
        rows: pa.Table = table.scan(row_filter=condition, selected_fields=(*columns, "load_id")).to_arrow()
    if retracted:
        rows = rows.filter(pc.invert(pc.is_in(rows["load_id"], value_set=pa.array(sorted(retracted)))))
    return rows.select(list(columns))


def _time_text(time_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def missing_offsets(
    table: Table, log_id: str, topic: str, partition: int, start: int, end: int | None = None
) -> list[tuple[int, int]]:
    """Ranges [from, to) within [start, end) at which the table has no row (end None: the floor).

    Each must be explained by dead letters, tombstones, or offsets that the log skipped.
    """
    floor = floor_in_force(table.metadata).next_offset(Place(log_id, topic, partition))
    found: list[tuple[int, int]] = []
    at = start
    for rows in rows_between(table, log_id, topic, partition, start, end):
        offsets = np.concatenate(([at - 1], rows["offset"].to_numpy()))
        jumps = np.flatnonzero(np.diff(offsets) > 1)
        found += [(int(offsets[i]) + 1, int(offsets[i + 1])) for i in jumps]
        at = int(offsets[-1]) + 1
    last = floor if end is None else end
    return [*found, (at, last)] if at < last else found


def _spans(table: Table, place: Place, start: int, end: int) -> list[tuple[int, int]]:
    """First and last offset of each file that may hold some of the rows, from its statistics."""
    if start >= end:
        return []
    offset = table.schema().find_field("offset").field_id
    with reading(f"table {'.'.join(table.name())}"):
        tasks = list(table.scan(row_filter=within(place, start, end)).plan_files())
    return [_bounds(task.file, offset, start, end) for task in tasks]


def _bounds(file: DataFile, field_id: int, start: int, end: int) -> tuple[int, int]:
    low, high = (file.lower_bounds or {}).get(field_id), (file.upper_bounds or {}).get(field_id)
    if low is None or high is None:
        return start, end - 1
    return int(from_bytes(LongType(), low)), int(from_bytes(LongType(), high))


def _read(table: Table, place: Place, start: int, end: int) -> pa.Table:
    return _scan(table, within(place, start, end))


def _scan(table: Table, condition: BooleanExpression) -> pa.Table:
    scan = table.scan(row_filter=condition, selected_fields=STATE_COLUMNS)
    with reading(f"table {'.'.join(table.name())}"):
        rows: Any = scan.to_arrow()
    rows = rows.select(STATE_COLUMNS).set_column(0, "symbol", rows["symbol"].cast(pa.string()))
    return rows.sort_by("offset")


def summarise(snapshot: Snapshot) -> SnapshotSummary:
    """What one snapshot says about itself."""
    summary = summary_of(snapshot)
    return SnapshotSummary(
        id=snapshot.snapshot_id,
        parent=snapshot.parent_snapshot_id,
        committed_at_us=snapshot.timestamp_ms * 1000,
        operation="" if snapshot.summary is None else snapshot.summary.operation.value,
        commit_id=summary.get(COMMIT_ID),
        rows=int(summary.get(ROWS, 0)),
        ranges=ranges_from_json(summary.get(RANGE, "{}")),
        floor=Floors.from_json(summary[FLOOR]) if FLOOR in summary else None,
        counts={k.removeprefix(COUNT): int(v) for k, v in summary.items() if k.startswith(COUNT)},
    )
