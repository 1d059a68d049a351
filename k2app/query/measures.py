"""What queries tell the metrics: what was planned to be read, and what was returned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from k2app.metrics import QueryMetrics
from k2app.query.reading.plan import DataFile

REPLAY = "replay"
"""Resource whose rows and bytes count as replayed as well."""


OUTCOMES = ("answered", "refused", "busy", "timeout", "slow_client", "cancelled", "failed")
"""How a query ends: as it should; by the client's fault; for want of room; beyond its time; because the client took too
little of the answer, or went away; by ours."""


@dataclass(frozen=True)
class Scan:
    """Data files that one query was going to read, each once however often it was planned."""

    files: dict[str, DataFile] = field(default_factory=dict)

    def add(self, files: Iterable[DataFile]) -> None:
        """Take note of a plan's files."""
        for file in files:
            self.files[file.location] = file


def count_scan(metrics: QueryMetrics, resource: str, scan: Scan) -> None:
    """Count what a query was going to read."""
    metrics.scanned_rows.labels(resource).inc(sum(file.rows for file in scan.files.values()))
    metrics.scanned_bytes.labels(resource).inc(sum(file.size_bytes for file in scan.files.values()))


def count_rows(metrics: QueryMetrics, resource: str, rows: int) -> None:
    """Count rows that were returned."""
    metrics.rows.labels(resource).inc(rows)
    if resource == REPLAY:
        metrics.replay_rows.inc(rows)


def count_bytes(metrics: QueryMetrics, resource: str, size_bytes: int) -> None:
    """Count bytes of answers, before compression."""
    metrics.bytes.labels(resource).inc(size_bytes)
    if resource == REPLAY:
        metrics.replay_bytes.inc(size_bytes)
