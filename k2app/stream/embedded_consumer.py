"""Faust's consumer of the embedded log: every partition of every subscribed topic is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from faust.assignor.client_assignment import ClientAssignment
from faust.types import TP, ConsumerMessage

from k2app.errors import TransientError
from k2app.logs import FAUST_LOGGER, get
from k2app.stream.batches import batch_record
from k2app.stream.changelogs import ChangelogRecord, compact_changelogs, read_changelog
from k2app.stream.embedded_positions import PositionedConsumer
from k2app.stream.partitioner import partition_of
from k2app.stream.record_batch import RecordBatch
from k2app.stream.worker_lock import WorkerLock

logger = get(__name__)

POLL_S = 0.02
"""Seconds between looks for new records when there are none: other processes append without telling us."""


class Consumer(PositionedConsumer):
    """Consumer of the embedded log: every partition of every subscribed topic is its own."""

    logger = FAUST_LOGGER
    consumer_stopped_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = WorkerLock(self.transport.log_path)

    async def on_start(self) -> None:
        """Take the worker lock, and shorten the changelogs, so that recovery reads each key once."""
        self._lock.acquire()
        await super().on_start()
        await self._role.call(compact_changelogs)

    async def on_stop(self) -> None:
        """Commit what was acknowledged, close the log, give up the worker lock."""
        await super().on_stop()
        self._role.close()
        self._lock.release()

    # --- assignment

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take every partition of `topics`.

        The assignment runs in the background: Faust's assignment callback waits for this method to return.
        """
        names = list(topics)
        infos = await self._role.call(lambda log: [log.topic(name) for name in names])
        assigned = {TP(info.name, p) for info in infos if info is not None for p in range(info.partitions)}
        self.app.on_rebalance_start()
        if self._assigned:
            await self.on_partitions_revoked(self._assigned)
        self._assigned = assigned
        self.app.consumer_generation_id += 1
        self._tell_assignor(assigned)
        self.add_future(self.on_partitions_assigned(assigned, self.app.consumer_generation_id))

    def _tell_assignor(self, assigned: set[TP]) -> None:
        # Faust asks its assignor, not its consumer, which changelog partitions are active.
        actives: dict[str, list[int]] = {}
        for tp in sorted(assigned):
            actives.setdefault(tp.topic, []).append(tp.partition)
        assignor = self.app.assignor
        assignor._assignment = ClientAssignment(actives=actives, standbys={})  # noqa: SLF001 - no public way
        assignor._active_tps = set(assigned)  # noqa: SLF001 - as above
        assignor._standby_tps = set()  # noqa: SLF001 - as above

    def assignment(self) -> set[TP]:
        """Partitions that are ours."""
        return self._assigned

    # --- fetching

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> dict[TP, list[Any]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            found = await self._fetch(active_partitions or set())
            if found or loop.time() >= deadline or self.should_stop:
                return found
            await asyncio.sleep(POLL_S)

    async def _fetch(self, active: set[TP]) -> dict[TP, list[Any]]:
        batches = [(tp, at, epoch) for tp, at, epoch in self.positions.ready() if tp in active]
        changelogs = [(tp, self._next.get(tp, 0)) for tp in active if not self.is_batch(tp)]
        bounds = await self._look({tp.topic for tp, _, _ in batches} | {tp.topic for tp, _ in changelogs})
        found: dict[TP, list[Any]] = {}
        for tp, at, epoch in batches:
            if at < bounds[tp][1] and (batch := await self._fetch_batch(tp, at, epoch)) is not None:
                found[tp] = [batch_record(batch)]
        for tp, at in changelogs:
            if at < bounds[tp][1]:
                found[tp] = await self._fetch_changelog(tp, at)
        return found

    async def _fetch_batch(self, tp: TP, at: int, epoch: int) -> RecordBatch | None:
        rows, size = self.transport.fetch_rows, self.transport.fetch_bytes
        batch = await self._role.call(
            lambda log: log.read(tp.topic, tp.partition, at, max_rows=rows, max_bytes=size, epoch=epoch)
        )
        return batch if batch is not None and self.positions.fetched(batch) else None

    async def _fetch_changelog(self, tp: TP, at: int) -> list[ChangelogRecord]:
        found, self._next[tp] = await self._role.call(
            lambda log: read_changelog(log, tp.topic, tp.partition, at)
        )
        return found

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        batch = self.is_batch(tp)
        timestamp_s = record.timestamp / 1_000 if batch else record.timestamp_us / 1_000_000
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            timestamp_s,
            0,
            (),
            record.key,
            record.value,
            None,
            0,
            record.serialized_value_size if batch else len(record.value or b""),
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    # --- what else Faust asks of a consumer

    async def _commit_offsets(self, offsets: Mapping[TP, int], *arguments: Any, **options: Any) -> bool:
        """Commit offsets, or leave them to the next time: they are a hint, and the log may be busy or its disk full."""
        try:
            committed: bool = await super()._commit_offsets(offsets, *arguments, **options)
        except TransientError as error:
            self.app.metrics.log.offset_commit_failures.inc()
            logger.warning("offsets_not_committed", error=str(error))
            return False
        return committed

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self._role.call(
            lambda log: log.commit(
                self.app.conf.id, {(tp.topic, tp.partition): o for tp, o in offsets.items()}
            )
        )
        return True

    def topic_partitions(self, topic: str) -> int | None:
        """Partition count of a subscribed topic."""
        counts = [tp.partition + 1 for tp in self._assigned if tp.topic == topic]
        return max(counts, default=None)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Partition that `key` belongs to."""
        if partition is not None or key is None:
            return partition
        return partition_of(key, self.topic_partitions(topic) or 1)

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Make a topic if it does not exist; an embedded log has no replicas."""
        del replication
        compacted = bool(options.get("compacting"))
        await self._role.call(lambda log: log.create_topic(topic, partitions, compacted=compacted))

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def close(self) -> None:
        """Nothing to close before `on_stop`."""
