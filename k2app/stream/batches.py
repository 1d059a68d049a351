"""Whole fetches as one event: the consumer mixin that delivers record batches.

Faust hands its agents one message at a time. For batch topics the mixin makes `_getmany` return one synthetic
record per partition whose value is a `RecordBatch`: everything that was fetched, with the offset of the last
record. It owns what Faust keeps per message and cannot keep per batch:

- *position*: `rewind` moves the read position and bumps the partition's epoch; what was fetched under an older
  epoch is thrown away. Faust's own seek on a running stream drops records silently.
- *offset bookkeeping*: committable is last acknowledged + 1, and before that where the reader began: the lake has
  what is below, perhaps by somebody who did not live to say so. Faust's interval tree sticks when offsets have holes.
- *revocation and stop*: the agent's buffer is flushed before Faust waits for unacknowledged events, or it would
  wait for ever.
- *back-pressure*: a partition is not fetched while a batch of it waits to be read, nor when all waiting batches
  together are too large, nor while `held`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from faust.types import TP

from k2app.logs import get
from k2app.stream.record_batch import RecordBatch

logger = get(__name__)


class BatchRecord(NamedTuple):
    """Synthetic consumer record whose value is a whole batch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    headers: tuple[()]
    key: None
    value: RecordBatch
    checksum: None
    serialized_key_size: int
    serialized_value_size: int


def batch_record(batch: RecordBatch) -> BatchRecord:
    """Wrap a batch as the one record of its partition; its offset is the last one's."""
    last = batch.next_offset - 1
    time_ms = int(batch.times_us[-1]) // 1000
    return BatchRecord(
        batch.topic, batch.partition, last, time_ms, 0, (), None, batch, None, 0, batch.size_bytes
    )


class _ReadOffsets(defaultdict[TP, int | None]):
    """Faust's read offsets, always None for batch topics: the mixin owns their position."""

    def __init__(self, batch_topics: frozenset[str]) -> None:
        super().__init__(lambda: None)
        self._batch_topics = batch_topics

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        super().__setitem__(tp, None if tp.topic in self._batch_topics else offset)

    def update(self, other: Mapping[TP, int | None]) -> None:  # type: ignore[override]  # the one form Faust uses
        for tp, offset in other.items():
            self[tp] = offset


Flush = Callable[[set[TP]], Awaitable[None]]
"""Called before partitions are given up: flush what is buffered for them, or drop it by a deadline."""


@dataclass
class _Partition:
    """What the mixin knows of one assigned batch partition."""

    position: int
    epoch: int
    waiting: int = 0
    waiting_bytes: int = 0


def _never() -> bool:
    return False


@dataclass
class BatchPositions:
    """Positions of the assigned batch partitions; pure bookkeeping, no I/O.

    A partition without a position is not fetched: it is assigned, and its reader is not ready yet.
    """

    waiting_limit: int = 2
    """Batches of one partition that may wait to be read."""
    waiting_bytes_limit: int = 256 * 1024 * 1024
    """Bytes of all batches that may wait to be read: fetching goes on below it."""
    held: Callable[[], bool] = _never
    """Whether nothing is fetched at this moment: memory or disk is short (`k2app.ingest.brake`)."""
    partitions: dict[TP, _Partition] = field(default_factory=dict)
    acknowledged: dict[TP, int] = field(default_factory=dict)
    """Next offset after what is in the lake. It outlives `forget`: a worker that stops forgets after its last flush,
    and commits to the log after that."""
    _epoch: int = 0

    def rewind(self, tp: TP, offset: int) -> None:
        """Read `tp` from `offset` next, below which nothing is wanted; whatever was fetched before is void."""
        self._epoch += 1
        self.partitions[tp] = _Partition(offset, self._epoch)
        self.acknowledged[tp] = offset

    def forget(self, tps: Iterable[TP]) -> None:
        """Stop reading `tps`; whatever was fetched before is void."""
        for tp in tps:
            self.partitions.pop(tp, None)

    def release(self, tps: Collection[TP]) -> None:
        """Forget `tps` and what was acknowledged of them: they may be others' from now on."""
        self.forget(tps)
        for tp in tps:
            self.acknowledged.pop(tp, None)

    def current(self, batch: RecordBatch) -> bool:
        """Whether `batch` was fetched under its partition's present epoch."""
        known = self.partitions.get(TP(batch.topic, batch.partition))
        return known is not None and known.epoch == batch.epoch

    @property
    def waiting_bytes(self) -> int:
        """Bytes of all batches that were fetched and wait to be read."""
        return sum(p.waiting_bytes for p in self.partitions.values())

    def ready(self) -> list[tuple[TP, int, int]]:
        """Partitions to fetch now, with position and epoch; those that wait longest first."""
        if self.held() or self.waiting_bytes >= self.waiting_bytes_limit:
            return []
        free = [(tp, p) for tp, p in self.partitions.items() if p.waiting < self.waiting_limit]
        return [(tp, p.position, p.epoch) for tp, p in free]

    def fetched(self, batch: RecordBatch) -> bool:
        """Move the position past `batch`. False: it is of an older epoch and must be thrown away."""
        if not self.current(batch):
            return False
        known = self.partitions[TP(batch.topic, batch.partition)]
        known.position = batch.next_offset
        known.waiting += 1
        known.waiting_bytes += batch.size_bytes
        return True

    def taken(self, batch: RecordBatch) -> None:
        """Note that `batch` no longer waits: its reader has it."""
        if self.current(batch):
            known = self.partitions[TP(batch.topic, batch.partition)]
            known.waiting -= 1
            known.waiting_bytes -= batch.size_bytes

    def acked(self, batch: RecordBatch) -> None:
        """Note that everything up to the end of `batch` is in the lake."""
        if self.current(batch):
            tp = TP(batch.topic, batch.partition)
            self.acknowledged[tp] = max(self.acknowledged.get(tp, 0), batch.next_offset)

    def committable(self, tp: TP) -> int | None:
        """Next offset that may be committed to the log; None: there is nothing below it."""
        return self.acknowledged.get(tp) or None


class BatchConsumerMixin:
    """Mix into a driver's `Consumer`, before it in the bases. See the module's docstring.

    The transport carries `batch_topics`; `before_revoke` is set by the app.
    """

    transport: Any
    _acked: Any
    _unacked_messages: Any
    _waiting_for_ack: Any
    _committed_offset: Any

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        self.batch_topics: frozenset[str] = frozenset(transport.batch_topics)
        self.positions = BatchPositions(waiting_bytes_limit=transport.waiting_bytes_limit)
        self.before_revoke: Flush | None = None
        super().__init__(transport, *args, **kwargs)  # type: ignore[call-arg]  # the driver's
        self._read_offset = _ReadOffsets(self.batch_topics)

    @property
    def trouble(self) -> str | None:
        """What the log is waited for, in words; None: it answers."""
        return None

    def told(self, tp: TP) -> int | None:
        """Next offset of a partition that is committed to the log; None: nothing was, as far as is known."""
        offset: int | None = self._committed_offset.get(tp)
        return offset

    def readable_end(self, tp: TP, end: int) -> int:  # noqa: ARG002 - of a log that has records only
        """Offset after the last record below `end`, as far as is known."""
        return end

    def is_batch(self, tp: TP) -> bool:
        """Whether `tp` is delivered as batches."""
        return tp.topic in self.batch_topics

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Flush the agents' buffers of `revoked` before Faust waits for their events."""
        batches = {tp for tp in revoked if self.is_batch(tp)}
        if batches and self.before_revoke is not None:
            await self.before_revoke(batches)
        self.positions.forget(batches)
        await super().on_partitions_revoked(revoked)  # type: ignore[misc]  # the driver's
        self.positions.release(batches)

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """Offset after the last record of each partition, as of now: what a reader that is done has reached."""
        ends: Mapping[TP, int] = await self.highwaters(*partitions)  # type: ignore[attr-defined]  # the driver's
        return ends

    def ack(self, message: Any) -> bool:
        """Acknowledge one message; a batch counts only while its epoch lasts."""
        if not isinstance(message.value, RecordBatch):
            acked: bool = super().ack(message)  # type: ignore[misc]  # the driver's
            return acked
        message.acked = True
        self._unacked_messages.discard(message)
        self.positions.acked(message.value)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)  # type: ignore[misc]  # the driver's
        for tp in self.positions.acknowledged:
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if self.is_batch(tp):
            return self.positions.committable(tp)
        offset: int | None = super()._new_offset(tp)  # type: ignore[misc]  # the driver's
        return offset
