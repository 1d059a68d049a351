"""How a log and its lake stand: what is on the log, what is in the lake, what is between the two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyiceberg.table import Table

from k2app.lake.catalog import load
from k2app.lake.fileio import local_path
from k2app.lake.floors import lineage_of, summary_of
from k2app.lake.ledger import RETRACTED
from k2app.lake.tables import Name
from k2app.load import ledger
from k2app.load.reservations import Reservations
from k2app.market.topics import DataType
from k2app.operate.changelogs import changelog_of, last_watermark
from k2app.operate.opening import Opened
from k2app.stream.log_view import LogView
from k2app.stream.logs_by_url import Workers, workers


@dataclass(frozen=True)
class PartitionStatus:
    """One partition of one topic.

    Parameters
    ----------
    start, end
        First kept and next offset of the log.
    floor
        First offset that the lake does not have; 0 if it has none yet.
    lag_rows
        Offsets on the log that the lake does not have.
    lag_s
        Age of the oldest record that the lake does not have; 0 if there is none.
    watermark
        Offset that the stored sequence states belong to; None: there are none.
    state
        What those states are worth: `current` (they belong to the floor), `behind` (they are folded forward when the
        worker starts), `ahead` or `foreign` (they are rebuilt then), `none`.
    """

    topic: str
    partition: int
    start: int
    end: int
    floor: int
    lag_rows: int
    lag_s: float
    watermark: int | None
    state: str


@dataclass(frozen=True)
class TableStatus:
    """One table of the lake; `last_commit` is None before the first."""

    table: str
    rows: int
    data_files: int
    size_bytes: int
    snapshots: int
    last_commit: datetime | None


@dataclass(frozen=True)
class SpaceStatus:
    """Bytes on disk; None: not on this machine."""

    log_bytes: int | None
    log_free_bytes: int | None
    log_wal_bytes: int | None
    warehouse_bytes: int | None
    state_bytes: int


@dataclass(frozen=True)
class Status:
    """Everything, as of `at`.

    Parameters
    ----------
    workers
        Who consumes the log. Kafka's group does not tell processes.
    dead_letters
        Records of the log that could not be read, in the lake with their bytes.
    rejects
        Rows of files that could not be read, over all loads that stand.
    """

    at: datetime
    home: Path
    log_id: str
    workers: Workers
    partitions: list[PartitionStatus]
    tables: list[TableStatus]
    space: SpaceStatus
    dead_letters: int
    rejects: int
    loads: dict[str, int]

    @property
    def lag_rows(self) -> int:
        """Offsets on the log that the lake does not have, over all partitions."""
        return sum(part.lag_rows for part in self.partitions)


def read_status(opened: Opened[LogView], reservations: Reservations, now: datetime) -> Status:
    """Look at everything. Changes nothing; works with and without a worker.

    Raises
    ------
    OperatorError
        The lake is not there.
    TransientError
        Catalog, warehouse or Kafka do not answer.
    """
    # The log is read after the lake: what is committed meanwhile shows as lag for a moment, never as negative.
    tables = {name: load(opened.catalog, opened.settings, name) for name in Name}
    shown = [_table(name, table) for name, table in tables.items()]
    loads = ledger.entries(reservations.rows())
    return Status(
        now,
        opened.settings.home,
        opened.log.log_id,
        workers(opened.settings),
        list(_partitions(opened, tables, now)),
        shown,
        _space(opened),
        next(one.rows for one in shown if one.table == Name.DEAD_LETTERS),
        sum(one.rejects for one in loads if one.state != RETRACTED),
        {state: [one.state for one in loads].count(state) for state in ledger.STATES},
    )


def _partitions(
    opened: Opened[LogView], tables: dict[Name, Table], now: datetime
) -> Iterator[PartitionStatus]:
    floors, now_us = opened.floors(), int(now.timestamp() * 1_000_000)
    uuids = {name: str(table.metadata.table_uuid) for name, table in tables.items()}
    bounds = opened.log.bounds(opened.served.by_name)
    for (topic, partition), (start, end) in sorted(bounds.items()):
        data_type = opened.served.by_name[topic][0].data_type
        floor = floors[topic, partition].next_offset if (topic, partition) in floors else 0
        since_us = opened.log.time_us_at(topic, partition, floor) if end > floor else None
        mark, state = _state(opened, topic, partition, floor, uuids[Name(data_type.value)])
        yield PartitionStatus(
            topic,
            partition,
            start,
            end,
            floor,
            max(end - floor, 0),
            0.0 if since_us is None else max(now_us - since_us, 0) / 1_000_000,
            mark,
            "" if data_type is DataType.REFERENCE_DATA else state,
        )


def _state(
    opened: Opened[LogView], topic: str, partition: int, floor: int, table_uuid: str
) -> tuple[int | None, str]:
    changelog = changelog_of(opened.settings.consumer_group, topic)
    mark = last_watermark(opened.log, changelog, partition)
    if mark is None:
        return None, "none"
    if (mark.log_id, mark.table_uuid) != (opened.log.log_id, table_uuid):
        return mark.next_offset, "foreign"
    if mark.next_offset == floor:
        return floor, "current"
    return mark.next_offset, "behind" if mark.next_offset < floor else "ahead"


def _table(name: Name, table: Table) -> TableStatus:
    current = table.current_snapshot()
    totals = {} if current is None else summary_of(current)
    return TableStatus(
        str(name),
        int(totals.get("total-records", 0)),
        int(totals.get("total-data-files", 0)),
        int(totals.get("total-files-size", 0)),
        sum(1 for _ in lineage_of(table.metadata)),
        None if current is None else datetime.fromtimestamp(current.timestamp_ms / 1_000, UTC),
    )


def _space(opened: Opened[LogView]) -> SpaceStatus:
    usage, settings = opened.log.usage(), opened.settings
    warehouse = local_path(settings.warehouse)
    return SpaceStatus(
        None if usage is None else usage.file_bytes,
        None if usage is None else usage.free_bytes,
        None if usage is None else usage.wal_bytes,
        None if warehouse is None else folder_bytes(warehouse),
        folder_bytes(settings.state_dir / opened.log.log_id),
    )


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; files that go away meanwhile count as nothing."""
    return sum(_bytes(Path(at) / name) for at, _, names in os.walk(folder) for name in names)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON holds it: times in ISO 8601, UTC."""
    tables = [
        {**vars(one), "last_commit": None if one.last_commit is None else one.last_commit.isoformat()}
        for one in status.tables
    ]
    return {
        "at": status.at.isoformat(),
        "home": str(status.home),
        "log_id": status.log_id,
        "worker": {"running": status.workers.count > 0, "pid": status.workers.process or None},
        "workers": status.workers.count,
        "lag_rows": status.lag_rows,
        "partitions": [vars(part) for part in status.partitions],
        "tables": tables,
        "space": vars(status.space),
        "dead_letters": status.dead_letters,
        "rejects": status.rejects,
        "loads": status.loads,
    }
