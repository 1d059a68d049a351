"""Faust's producer into the embedded log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faust.transport.producer import Producer as FaustProducer
from faust.types import TP
from faust.types.tuples import RecordMetadata

from k2app.logs import FAUST_LOGGER
from k2app.stream.log_records import Records, records_from_pairs
from k2app.stream.log_role import Role
from k2app.stream.partitioner import partition_of

if TYPE_CHECKING:
    from k2app.stream.embedded import Transport


class Producer(FaustProducer):
    """Producer into the embedded log: durable when the call returns."""

    logger = FAUST_LOGGER

    transport: Transport

    def __post_init__(self) -> None:
        """Prepare the writing role; the file is opened at the first write."""
        self._role = Role(self.transport.open_log, "write")

    async def on_stop(self) -> None:
        """Close the log."""
        await super().on_stop()
        self._role.close()

    async def send_all(
        self, records: Mapping[TP, Sequence[tuple[bytes | None, bytes | None]]]
    ) -> dict[TP, int]:
        """Append records to several partitions in one transaction; returns the offset of each one's last."""
        parts: dict[str, list[Records]] = {}
        for tp, pairs in records.items():
            parts.setdefault(tp.topic, []).append(records_from_pairs(tp.partition, pairs))
        ends = await self._role.call(lambda log: log.append_all(parts))
        return {tp: ends[tp.topic][tp.partition] - 1 for tp in records}

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Append one record; the returned future is done."""
        done: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        done.set_result(
            await self.send_and_wait(
                topic, key, value, partition, timestamp, headers, transactional_id=transactional_id
            )
        )
        return done

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Append one record. Time and headers are the log's own affair: it keeps the time of appending."""
        del timestamp, headers, transactional_id
        target = partition if partition is not None else self.key_partition(topic, key or b"").partition
        tp = TP(topic, target)
        offsets = await self.send_all({tp: [(key, value)]})
        return RecordMetadata(topic=topic, partition=target, topic_partition=tp, offset=offsets[tp])

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Make a topic if it does not exist; an embedded log has no replicas."""
        del replication
        compacted = bool(options.get("compacting"))
        await self._role.call(lambda log: log.create_topic(topic, partitions, compacted=compacted))

    async def flush(self) -> None:
        """Send what Faust buffered; appends themselves are durable when they return."""
        await self.buffer.flush()

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Partition that `key` belongs to."""
        return TP(topic, partition_of(key, self.app.consumer.topic_partitions(topic) or 1))
