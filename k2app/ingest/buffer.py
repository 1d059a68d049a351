"""Rows read and not committed yet: of one main table, from all its partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from k2app.ingest.rows import Processed, empty_rows
from k2app.lake.tables import Name

Acknowledge = Callable[[], Awaitable[Any]]
"""Tells the log that a batch is in the lake."""


@dataclass
class Buffer:
    """What the next flush will hold. `acknowledge` are called once it is in the lake."""

    name: Name
    rows: list[pa.Table] = field(default_factory=list)
    dead_letters: list[pa.Table] = field(default_factory=list)
    gaps: list[pa.Table] = field(default_factory=list)
    acknowledge: list[Acknowledge] = field(default_factory=list)
    records: int = 0
    since_s: float | None = None
    """When its oldest record was read, by the event loop's clock."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each step of its flush took."""

    def add(self, processed: Processed, records: int, acknowledge: Acknowledge, now_s: float) -> None:
        """Add what one batch became."""
        self.rows.append(processed.rows)
        self.dead_letters.append(processed.dead_letters)
        self.gaps.append(processed.gaps)
        self.acknowledge.append(acknowledge)
        self.records += records
        self.since_s = now_s if self.since_s is None else self.since_s

    def age_s(self, now_s: float) -> float:
        """Seconds since its oldest record was read; 0 if it is empty."""
        return 0.0 if self.since_s is None else now_s - self.since_s

    def tables(self) -> tuple[pa.Table, pa.Table, pa.Table]:
        """Rows, dead letters and gap events, each as one table."""
        return (
            _one(self.rows, self.name),
            _one(self.dead_letters, Name.DEAD_LETTERS),
            _one(self.gaps, Name.GAPS),
        )


def _one(parts: list[pa.Table], name: Name) -> pa.Table:
    solid = [part for part in parts if part.num_rows]
    return pa.concat_tables(solid) if solid else empty_rows(name)
