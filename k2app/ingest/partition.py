"""What ingest knows of one partition: how far it has read, and its sequence states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from k2app.ingest.rows import Processed, Source
from k2app.ingest.states import StateChange, Watermark
from k2app.lake.floors import Fingerprint, Range
from k2app.market.sequence_rules import CONTINUOUS_SCOPE
from k2app.market.sequence_states import States
from k2app.stream.record_batch import RecordBatch


@dataclass
class Partition:
    """One assigned partition.

    `next_offset` is past what is buffered; `flushed` past what was cut for the last flush. Both start where the lake
    ends, `hole` aside: offsets between the lake's end and `flushed` that are gone from the log.
    """

    log_id: str
    source: Source
    partition: int
    next_offset: int
    states: States
    flushed: int
    keep_days: int
    dead: frozenset[int] = frozenset()
    hole: tuple[int, int] | None = None
    records: int = 0
    fingerprint: Fingerprint | None = None
    dirty: set[int] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)

    @property
    def topic(self) -> str:
        """Name of the topic."""
        return self.source.topic.name

    def unseen(self, batch: RecordBatch) -> RecordBatch | None:
        """The part of `batch` at or above `next_offset`: what is below was delivered again."""
        first = int(batch.offsets.searchsorted(self.next_offset))
        return batch.rows(first, len(batch)) if first < len(batch) else None

    def take(self, batch: RecordBatch, processed: Processed) -> None:
        """Note that `batch` is buffered."""
        self.next_offset = batch.next_offset
        self.records += len(batch)
        self.fingerprint = Fingerprint(*batch.fingerprint(len(batch) - 1))
        self.states = processed.states
        self.dirty.update(processed.changed.tolist())

    def cut(self) -> PartitionCut | None:
        """Take what was buffered since the last cut, for a flush. None: nothing was.

        Every earlier flush of the partition is committed by then: so what is evicted here can be asked of the lake.
        """
        if not self.records:
            return None
        changed = np.array(sorted(self.dirty), np.int64)
        cut = PartitionCut(self, self._range(), self.states, changed, tuple(self.removed))
        self.flushed, self.records, self.hole = self.next_offset, 0, None
        self.dirty, self.removed = set(), []
        self._evict(changed)
        return cut

    def _range(self) -> Range:
        skipped = self.next_offset - self.flushed - self.records
        return Range(
            self.log_id,
            self.topic,
            self.partition,
            self.flushed,
            self.next_offset,
            skipped,
            self.fingerprint,
            self.hole,
        )

    @property
    def horizon(self) -> int:
        """Trading date before which states may have been evicted; `CONTINUOUS_SCOPE` if none has."""
        scopes = self.states.keys.scopes
        newest = int(scopes.max()) if len(scopes) else CONTINUOUS_SCOPE
        return max(newest - self.keep_days, CONTINUOUS_SCOPE)

    def _evict(self, changed: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        scopes = self.states.keys.scopes
        old = (scopes < self.horizon) & (scopes != CONTINUOUS_SCOPE)
        old[changed] = False
        if old.any():
            self.removed = [self.states.keys.text(int(i)) for i in np.flatnonzero(old)]
            self.states = self.states.take(np.flatnonzero(~old))


@dataclass(frozen=True)
class PartitionCut:
    """One partition's part of a flush: the range, and the states as of its end."""

    partition: Partition
    range: Range
    states: States
    changed: np.ndarray[Any, np.dtype[np.int64]]
    removed: Sequence[str]

    def change(self, table_uuid: str) -> StateChange:
        """What to write to the sequence table once the flush is committed."""
        part = self.partition
        return StateChange(
            part.topic,
            part.partition,
            self.states.to_primitives(self.changed),
            self.removed,
            Watermark(part.log_id, table_uuid, self.range.end, self.states.digest()),
        )
