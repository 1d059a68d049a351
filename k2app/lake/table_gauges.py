"""How large the tables are, as their current snapshots say: no data is read for it."""

from __future__ import annotations

from k2app.lake.floors import summary_of
from k2app.lake.table_cache import TableCache
from k2app.lake.tables import Name
from k2app.metrics import LakeMetrics

TOTALS = {"rows": "total-records", "files": "total-data-files", "bytes": "total-files-size"}
"""Gauge by gauge, the property of a snapshot's summary (Source: Iceberg specification, "Optional Snapshot Summary
Fields")."""


def look_at_tables(tables: TableCache, metrics: LakeMetrics) -> None:
    """Bring the gauges up to date. Asks the catalog.

    Raises
    ------
    OperatorError, TransientError
        See `TableCache.load`.
    """
    gauges = {"rows": metrics.rows, "files": metrics.files, "bytes": metrics.bytes}
    for name, table in tables.load(Name).items():
        metrics.snapshots.labels(name).set(len(table.metadata.snapshots))
        current = table.metadata.current_snapshot()
        summary = {} if current is None else summary_of(current)
        for gauge, total in TOTALS.items():
            gauges[gauge].labels(name).set(int(summary.get(total, 0)))
