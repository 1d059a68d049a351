"""What one ingest tells the metrics: counted once a batch, and gauges brought up to date before a scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from faust.types import TP

from k2app.ingest.failure_kinds import kinds
from k2app.ingest.lag import Lag
from k2app.ingest.rows import Processed
from k2app.market.sequence_states import States
from k2app.metrics import Metrics, Series
from k2app.stream.record_batch import RecordBatch

LOOK_EVERY_S = 1.0
"""Seconds between looks at how far the lake is behind: finer than any scrape."""


class Read(Protocol):
    """What is asked of a partition that is being read."""

    next_offset: int
    states: States


class Cut(Protocol):
    """What is asked of a partition's part of a flush."""

    @property
    def range(self) -> Any:
        """See `k2app.lake.floors.Range`."""


@dataclass
class _Held:
    """Rows in memory: in the buffer, or on their way to the lake."""

    bytes: int = 0
    since_s: float | None = None
    """When the oldest was read."""


class Measures:
    """Metrics of one ingest. Knows by itself how far the lake is: a partition that is lost for a while has no other.

    For use on the event loop.
    """

    def __init__(self, name: str, metrics: Metrics, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock_s = clock_s
        self._metrics = metrics
        m, log = metrics.ingest, metrics.log
        self.decode_seconds = m.decode_seconds.labels(name)
        self.recovery_seconds = log.recovery_seconds.labels(name)
        self._redelivered = m.redelivered.labels(name)
        self._stale = log.stale_batches
        self._buffered_rows = m.buffered_rows.labels(name)
        self._buffered_bytes = m.buffered_bytes.labels(name)
        self._oldest = m.oldest_unflushed.labels(name)
        self._states = m.tracked_states.labels(name)
        self._hole_offsets = metrics.flush.hole_offsets.labels(name)
        self._assigned = Series(log.assigned)
        self._lag_records, self._lag_seconds = Series(log.lag_records), Series(log.lag_seconds)
        self._pending_write, self._pending_commit = Series(log.pending_write), Series(log.pending_commit)
        self._floor = Series(metrics.lake.floor)
        self._by_topic: dict[str, tuple[Any, Any, Any]] = {}
        self._floors: dict[TP, int] = {}
        self._begun: dict[TP, int] = {}
        """Where the lake ended when a partition became this worker's."""
        self._ends: dict[TP, int] = {}
        self._lags: dict[TP, Lag] = {}
        self._buffer, self._in_flush = _Held(), _Held()
        self._looked_s = float("-inf")

    # --- what happens

    def took(self, batch: RecordBatch, processed: Processed) -> None:
        """Count a batch that is in the buffer now."""
        records, size, batches = self._children(batch.topic)
        records.inc(len(batch))
        size.inc(batch.value_bytes)
        batches.inc()
        for kind, count in kinds(processed.dead_letters).items():
            self._metrics.ingest.decode_failures.labels(self._name, kind).inc(count)
        self._buffer.bytes += sum(t.nbytes for t in (processed.rows, processed.dead_letters, processed.gaps))
        if self._buffer.since_s is None:
            self._buffer.since_s = self._clock_s()

    def redelivered(self, records: int) -> None:
        """Count records that were read already."""
        self._redelivered.inc(records)

    def stale(self) -> None:
        """Count a fetch that is thrown away."""
        self._stale.inc()

    def flushing(self) -> None:
        """Note that what was buffered is on its way to the lake."""
        self._in_flush, self._buffer = self._buffer, _Held()

    def flushed(self) -> None:
        """Note that the flush has ended, well or not."""
        self._in_flush = _Held()

    def dropped(self) -> None:
        """Note that the buffer is void."""
        self._buffer = _Held()

    def reached(self, tp: TP, floor: int) -> None:
        """Note where the lake ends in a partition."""
        self._floors[tp] = floor
        self._begun.setdefault(tp, floor)

    def committed(self, cuts: Iterable[Cut]) -> None:
        """Note where the lake ends after a flush, and what it gave up."""
        for cut in cuts:
            self.reached(TP(cut.range.topic, cut.range.partition), cut.range.end)
            if cut.range.hole is not None:
                start, end = cut.range.hole
                self._hole_offsets.inc(end - start)

    def ends(self, ends: Mapping[TP, int]) -> None:
        """Note where the log ends, as it said just now: fetching may have stopped, and hear of nothing."""
        self._ends.update(ends)

    # --- what is

    def look(self, wanted: Collection[TP], end: Callable[[TP], int]) -> None:
        """Note how far the lake is behind, if it is time again. Cheap; to be called often."""
        now_s = self._clock_s()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._look(wanted, end, now_s)

    def tell(
        self,
        wanted: Collection[TP],
        read: Mapping[TP, Read],
        end: Callable[[TP], int],
        told: Callable[[TP], int | None],
        uncommitted: int,
    ) -> None:
        """Set the gauges.

        Parameters
        ----------
        wanted
            This worker's partitions.
        read
            Those of them that are being read.
        end
            Next offset of the log, as the consumer last saw it.
        told
            Next offset that is committed to the log; None: not known.
        uncommitted
            Records read and not in the lake.
        """
        now_s = self._clock_s()
        lags = self._look(wanted, end, now_s)
        known = {tp: self._floors[tp] for tp in wanted if tp in self._floors}
        self._buffered_rows.set(uncommitted)
        self._buffered_bytes.set(self._buffer.bytes + self._in_flush.bytes)
        waits_s = [held.since_s for held in (self._buffer, self._in_flush) if held.since_s is not None]
        self._oldest.set(now_s - min(waits_s, default=now_s))
        self._states.set(sum(len(part.states) for part in read.values()))
        self._assigned.show(_by_topic(wanted))
        self._floor.show(_labelled(known))
        self._lag_records.show(_labelled({tp: max(self._end(tp, end) - at, 0) for tp, at in known.items()}))
        self._lag_seconds.show(_labelled(lags))
        # A partition that is not being read has nothing in memory.
        self._pending_write.show(
            _labelled({tp: read[tp].next_offset - at if tp in read else 0 for tp, at in known.items()})
        )
        self._pending_commit.show(_labelled({tp: self._untold(tp, at, told(tp)) for tp, at in known.items()}))

    def _look(self, wanted: Collection[TP], end: Callable[[TP], int], now_s: float) -> dict[TP, float]:
        self._looked_s = now_s
        for gone in [tp for tp in self._floors if tp not in wanted]:
            del self._floors[gone], self._begun[gone]
            self._ends.pop(gone, None)
            self._lags.pop(gone, None)
        found = {}
        for tp, floor in self._floors.items():
            found[tp] = self._lags.setdefault(tp, Lag()).look(self._end(tp, end), floor, now_s)
        return found

    def _untold(self, tp: TP, floor: int, told: int | None) -> int:
        """Records in the lake that the log is not told of; where nothing was told yet, of this worker's own."""
        return max(floor - (self._begun[tp] if told is None else told), 0)

    def _end(self, tp: TP, end: Callable[[TP], int]) -> int:
        return max(end(tp), self._ends.get(tp, 0))

    def _children(self, topic: str) -> tuple[Any, Any, Any]:
        """Counters of a topic's batches; finding them by their labels takes longer than counting."""
        found = self._by_topic.get(topic)
        if found is None:
            m, labels = self._metrics.ingest, (self._name, topic)
            found = (
                m.records_in.labels(*labels),
                m.record_bytes_in.labels(*labels),
                m.batches_in.labels(*labels),
            )
            self._by_topic[topic] = found
        return found


def _labelled(values: Mapping[TP, float]) -> dict[tuple[str, ...], float]:
    return {(tp.topic, str(tp.partition)): value for tp, value in values.items()}


def _by_topic(partitions: Iterable[TP]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for tp in partitions:
        found[tp.topic,] = found.get((tp.topic,), 0) + 1
    return found
