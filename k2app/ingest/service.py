"""The ingest of one main table: gathers what the agents of its topics hand it, so that a flush is one commit.

While a flush is under way, further batches are checked against the states of what is already buffered. Buffer and
states are thrown away together when they are void: on `FencedError`, on an unknown outcome, when something does not
answer, when partitions are revoked. Then every partition is restored from the lake and read again from its floor.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from faust.types import TP

from k2app.errors import CommitUnknownError, FencedError, TransientError
from k2app.ingest.behind import Behind
from k2app.ingest.buffer import Acknowledge, Buffer
from k2app.ingest.flush import Flusher
from k2app.ingest.measures import Measures
from k2app.ingest.partition import Partition
from k2app.ingest.restore import Restorer
from k2app.ingest.rows import Processed, Source, process
from k2app.ingest.schema_cache import SchemaCache
from k2app.ingest.spans import batch_span, flush_span
from k2app.ingest.waiting import SILENT_S, Waiting
from k2app.lake.tables import Name
from k2app.logs import correlated, get
from k2app.market.sequence_states import States
from k2app.metrics import Metrics
from k2app.settings import FlushSettings
from k2app.stream.batches import BatchPositions
from k2app.stream.record_batch import RecordBatch

logger = get(__name__)

TICK_S = 0.05
"""Seconds between looks at the buffer's age: a fraction of the shortest sensible flush interval."""

BUFFERED_FLUSHES = 2
"""Reading stops when this many flushes' worth of rows is buffered: one on its way, one filling up."""

LONGEST_PAUSE_S = 10.0
"""Most seconds between attempts while flushes fail: so much later it is seen that the lake answers again."""

MOST_DOUBLINGS = 10
"""Doublings of a pause, at most: so many reach the longest from a hundredth of a second."""

OUTCOMES = ("committed", "fenced", "unknown", "failed")
"""How a flush ends, as metrics have it."""

VOID = (FencedError, TransientError, CommitUnknownError)
"""Errors after which the buffer is void, and the floor says what landed."""


class Log(Protocol):
    """What ingest asks of the consumer."""

    positions: BatchPositions

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """First kept offset of each partition."""

    def highwater(self, tp: TP) -> int:
        """Next offset of one partition, as of the last look."""

    def told(self, tp: TP) -> int | None:
        """Next offset of one partition that is committed to the log; None: not known yet."""


@dataclass(frozen=True)
class Parts:
    """What one ingest is made of."""

    name: Name
    sources: Mapping[str, Source]
    settings: FlushSettings
    schemas: SchemaCache
    flusher: Flusher
    restorer: Restorer
    metrics: Metrics
    crash: Callable[[BaseException], Awaitable[None]]


class Ingest:
    """Ingest of one main table in one worker."""

    def __init__(self, parts: Parts) -> None:
        self.name = parts.name
        self.sources = parts.sources
        self._restore_trouble: str | None = None
        self._flush_trouble: str | None = None
        self._parts = parts
        self._measures = Measures(parts.name, parts.metrics)
        self._log: Log | None = None
        self._partitions: dict[TP, Partition] = {}
        self._wanted: set[TP] = set()
        self._buffer = Buffer(parts.name)
        self._in_flush = 0
        self._turn = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._flush_due = False
        self._void = False
        """The buffer and the partitions are about to be thrown away."""
        self._waiting = Waiting(table=parts.name)
        self._begun_s: dict[str, float] = {}
        """When what is under way began, by what it is."""
        self._failures = 0
        """Flushes that failed since one was committed."""
        self._behind = Behind()

    # --- life

    def start(self, log: Log) -> None:
        """Start the flush timer; it runs on its own, not on arriving events."""
        self._log = log
        self._stopping = False
        self._spawn(self._tick())
        self._spawn(self._watch())

    async def assign(self, partitions: set[TP]) -> None:
        """Take partitions over: restore them from the lake, then read them. Returns at once."""
        self._wanted = set(partitions)
        if self._wanted:
            self._spawn(self._restore())

    async def revoke(self, partitions: set[TP]) -> None:
        """Give partitions up: flush what is buffered, or drop it by the deadline; it will be read again."""
        self._wanted -= partitions
        if self._log is None:
            return
        try:
            if self.uncommitted:
                await self._flush_within(self._parts.settings.revoke_within_s)
        finally:
            self._forget(partitions)

    async def stop(self) -> None:
        """Flush what is buffered, or drop it by the deadline, and end."""
        self._stopping = True
        try:
            await self.revoke(set(self._partitions))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the top of every task: the worker must not go on without it
            await self._parts.crash(error)

    # --- reading

    async def accept(self, batch: RecordBatch, acknowledge: Acknowledge) -> None:
        """Take one batch from an agent. `acknowledge` is called once it is in the lake."""
        try:
            with batch_span(batch):
                await self._accept(batch, acknowledge)
        except VOID as error:
            self._parts.metrics.ingest.stood_down.labels(self.name, _outcome(error)).inc()
            self._stand_down(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the top of the agents' work: a batch must not be skipped
            await self._parts.crash(error)

    async def _accept(self, batch: RecordBatch, acknowledge: Acknowledge) -> None:
        tp = TP(batch.topic, batch.partition)
        # Outside the turn: the flush that makes room needs it.
        await self._room.wait()
        async with self._turn:
            self._positions.taken(batch)
            part = self._partitions.get(tp)
            if part is None or not self._positions.current(batch) or self._stopping:
                self._measures.stale()
                return
            fresh = part.unseen(batch)
            self._measures.redelivered(len(batch) - (0 if fresh is None else len(fresh)))
            if fresh is None:
                return
            await self._refuse_hole(tp, part, fresh)
            with self._under_way("reading a batch"):
                processed = await asyncio.to_thread(self._process, part, fresh)
            if not self._positions.current(batch):
                self._measures.stale()
                return
            part.take(fresh, processed)
            self._buffer.add(processed, len(fresh), acknowledge, _now_s())
            self._count(fresh, processed)
        if self._buffer.records >= self._parts.settings.max_rows:
            self.flush_soon()

    def flush_soon(self) -> None:
        """Flush as soon as the flush that is under way is done; once, however often it is said."""
        if not self._flush_due:
            self._flush_due = True
            self._spawn(self.flush())

    def _process(self, part: Partition, batch: RecordBatch) -> Processed:
        schemas = self._parts.schemas
        with self._measures.decode_seconds.time():
            writers = schemas.writers(batch.data, batch.starts, batch.value_lengths)
            past = self._parts.restorer.past(part)
            return process(batch, part.source, part.states, writers, schemas.refusals(), part.dead, past)

    async def _refuse_hole(self, tp: TP, part: Partition, batch: RecordBatch) -> None:
        """Offsets that the log skips are legitimate; offsets that are gone from it, or were not read, are a hole."""
        if batch.position > part.next_offset:
            raise FencedError(
                f"{tp.topic}/{tp.partition} was read from {batch.position}, expected {part.next_offset}"
            )
        if batch.first_offset == part.next_offset or self._log is None:
            return
        start = (await self._log.earliest_offsets(tp))[tp]
        if start > part.next_offset:
            raise FencedError(f"{tp.topic}/{tp.partition} was trimmed to {start} while it was read")

    def _count(self, batch: RecordBatch, processed: Processed) -> None:
        self._measures.took(batch, processed)
        self._update_room()

    def _update_room(self) -> None:
        waiting = self.uncommitted
        if waiting >= BUFFERED_FLUSHES * self._parts.settings.max_rows:
            self._room.clear()
        else:
            self._room.set()

    def _is_complete(self) -> bool:
        """Whether the lake has everything that the log is known to hold, and no flush is under way."""
        return self._nothing_left() and not self._in_flush

    def _nothing_left(self) -> bool:
        """Whether the lake has everything that the log is known to hold."""
        if self._log is None or self._void or self._missing:
            return False
        return all(self._log.highwater(tp) <= part.flushed for tp, part in self._partitions.items())

    def _lag(self) -> int:
        """Records that the log is known to hold and the lake does not, once it has what was cut for the last flush."""
        if self._log is None:
            return 0
        behind = (self._log.highwater(tp) - part.flushed for tp, part in self._partitions.items())
        return sum(max(records, 0) for records in behind)

    def tell(self) -> None:
        """Bring the gauges up to date; for the event loop, before a scrape."""
        if self._log is not None:
            log, read = self._log, self._partitions
            self._measures.tell(self._wanted, read, log.highwater, log.told, self.uncommitted)

    def ends(self, ends: Mapping[TP, int]) -> None:
        """Hear where the log ends, as it said just now."""
        self._measures.ends(ends)

    def states(self) -> list[tuple[TP, States]]:
        """States of the partitions that are read; safe to ask from any thread, and to look into there."""
        return [(tp, part.states) for tp, part in list(self._partitions.items())]

    @property
    def _positions(self) -> BatchPositions:
        if self._log is None:
            raise RuntimeError("start() comes first")
        return self._log.positions

    # --- flushing

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._buffer.age_s(_now_s()) >= self._parts.settings.interval_s:
                await self.flush()
            if self._flush_trouble is not None and self._nothing_left():
                self._flush_trouble = None

    async def _watch(self) -> None:
        """Look at what is waited for; beside the timer, which waits for its flushes."""
        while True:
            await asyncio.sleep(TICK_S)
            self._waiting.look(self.trouble, _now_s())
            self._behind.look(self._is_complete, _now_s())
            if self._log is not None:
                self._measures.look(self._wanted, self._log.highwater)

    async def flush(self) -> None:
        """Commit what is buffered, if anything is."""
        commit_id = uuid.uuid4().hex
        with correlated(commit_id=commit_id):
            try:
                await self._flush(commit_id)
            except VOID as error:
                self._stand_down(error)

    async def _flush_within(self, deadline_s: float) -> None:
        try:
            await asyncio.wait_for(self._last_flush(), deadline_s)
        except TimeoutError:
            logger.warning("flush_given_up", table=str(self.name), records=self._buffer.records)

    async def _last_flush(self) -> None:
        commit_id = uuid.uuid4().hex
        with correlated(commit_id=commit_id):
            try:
                await self._flush(commit_id, last=True)
            except VOID as error:
                logger.warning("flush_failed", table=str(self.name), error=str(error))

    async def _flush(self, commit_id: str, *, last: bool = False) -> None:
        """Commit what is buffered; after the `last` one nothing is, until the partitions are forgotten."""
        async with self._flushing:
            self._flush_due = False
            if self._void:
                return
            async with self._turn:
                # What is read from here on may be somebody else's to commit by the time it could be.
                self._void = last
                buffer, self._buffer = self._buffer, Buffer(self.name)
                cuts = [cut for part in self._partitions.values() if (cut := part.cut()) is not None]
            if not cuts:
                return
            self._in_flush = buffer.records
            self._measures.flushing()
            try:
                with self._under_way("a flush"), flush_span(buffer, commit_id):
                    await self._parts.flusher.flush(buffer, cuts, commit_id, self._lag)
                self._flush_trouble, self._failures = None, 0
                self._behind.committed(_now_s())
                self._measures.committed(cuts)
            except BaseException as error:
                # Before the next flush has its turn: it holds what follows this one.
                self._void = True
                if isinstance(error, VOID):
                    self._parts.metrics.flush.outcomes.labels(self.name, _outcome(error)).inc()
                raise
            finally:
                self._in_flush = 0
                self._measures.flushed()
                self._update_room()

    # --- standing down

    def _stand_down(self, error: Exception) -> None:
        """Throw buffer and states away, and start again from the lake.

        At once, and not on the task that failed: that may be cancelled. Who reads a batch meanwhile finds it void.
        """
        outcome = _outcome(error)
        # Said once in an outage; from then on `waiting` says that it lasts.
        tell = logger.debug if self._failures and outcome == "failed" else logger.warning
        tell("standing_down", table=str(self.name), outcome=outcome, error=str(error))
        self._flush_trouble = str(error)
        self._forget(set(self._partitions))
        if not self._stopping:
            self._failures += 1
            self._spawn(self._restore(after_s=self._pause_s(error)))

    def _pause_s(self, error: Exception) -> float:
        """Seconds until what was thrown away is read again: longer each time, where nothing answers."""
        first_s: float = getattr(error, "retry_after_s", 0.0)
        doublings = min(self._failures - 1, MOST_DOUBLINGS)
        return min(first_s * (1 << doublings), max(first_s, LONGEST_PAUSE_S))

    def _forget(self, partitions: set[TP]) -> None:
        self._positions.forget(partitions)
        for tp in partitions:
            self._partitions.pop(tp, None)
        # Rows of partitions that stay are read again as well: a buffer is void as a whole.
        self._buffer = Buffer(self.name)
        self._measures.dropped()
        kept = set(self._partitions)
        self._positions.forget(kept)
        self._partitions.clear()
        self._void = False
        self._update_room()
        if kept & self._wanted and not self._stopping:
            self._spawn(self._restore())

    async def _restore(self, after_s: float = 0.0) -> None:
        """Restore every wanted partition that is not read yet; try until it works."""
        await asyncio.sleep(after_s)
        async with self._flushing:
            while (missing := sorted(self._missing)) and not self._stopping:
                try:
                    await self._restore_all(missing)
                except VOID as error:
                    tell = logger.warning if self._restore_trouble is None else logger.debug
                    self._restore_trouble = str(error)
                    tell("restore_failed", table=str(self.name), error=str(error))
                    await asyncio.sleep(getattr(error, "retry_after_s", 1.0))
                else:
                    self._restore_trouble = None
            # Nothing is missing: all were restored, or others have them now.
            self._restore_trouble = None

    async def _restore_all(self, missing: list[TP]) -> None:
        with self._measures.recovery_seconds.time():
            parts = await self._parts.restorer.restore(
                [(self.sources[tp.topic], tp.partition) for tp in missing]
            )
        async with self._turn:
            for tp, part in zip(missing, parts, strict=True):
                if tp in self._wanted:
                    self._partitions[tp] = part
                    self._measures.reached(tp, part.flushed)
                    self._positions.rewind(tp, part.next_offset)

    # --- what others ask

    @property
    def trouble(self) -> str | None:
        """What it waits for, in words; None if nothing. A failed flush counts until one is committed."""
        return self._restore_trouble or self._flush_trouble or self._commit_trouble or self._silence

    @property
    def _commit_trouble(self) -> str | None:
        return self._parts.flusher.trouble if self._in_flush else None

    @property
    def _silence(self) -> str | None:
        """What has been under way for too long: whatever it asked has not answered."""
        for what, begun_s in self._begun_s.items():
            if _now_s() - begun_s > SILENT_S:
                return (
                    f"{what} has been waiting for the catalog or the warehouse for more than {SILENT_S:g} s"
                )
        return None

    @contextmanager
    def _under_way(self, what: str) -> Iterator[None]:
        self._begun_s[what] = _now_s()
        try:
            yield
        finally:
            self._begun_s.pop(what, None)

    @property
    def _missing(self) -> set[TP]:
        """Wanted partitions that are not read yet."""
        return self._wanted - set(self._partitions)

    @property
    def reading(self) -> bool:
        """Whether every wanted partition is being read."""
        return not self._missing

    @property
    def uncommitted(self) -> int:
        """Records that were read and are not in the lake yet."""
        return self._buffer.records + self._in_flush

    @property
    def commit_age_s(self) -> float:
        """Seconds for which nothing was committed though the lake lacks something; 0 if it lacks nothing."""
        return self._behind.age_s(_now_s())

    @property
    def obstacle(self) -> str | None:
        """Why some partition is not being read; None: all are."""
        if self.trouble is not None:
            return self.trouble
        if self._log is None:
            return "not started yet"
        waiting = len(self._missing)
        return f"{waiting} partitions are being restored" if waiting else None

    def drained(self, ends: Mapping[TP, int]) -> bool:
        """Whether everything below `ends` is in the lake."""
        # A partition counts as flushed from the cut on.
        return not (self._in_flush or self._void) and all(
            tp in self._partitions and self._partitions[tp].flushed >= end
            for tp, end in ends.items()
            if tp.topic in self.sources
        )

    def read_past(self, ends: Mapping[TP, int]) -> bool:
        """Whether everything below `ends` has been read, though perhaps not committed."""
        return not self._void and all(
            tp in self._partitions and self._partitions[tp].next_offset >= end
            for tp, end in ends.items()
            if tp.topic in self.sources
        )


def _outcome(error: Exception) -> str:
    if isinstance(error, FencedError):
        return "fenced"
    return "unknown" if isinstance(error, CommitUnknownError) else "failed"


def _now_s() -> float:
    return asyncio.get_running_loop().time()
