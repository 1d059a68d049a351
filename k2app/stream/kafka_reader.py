"""Looking into Kafka beside the stream: bounds of partitions, and single records.

It has a connection of its own: a broker answers the requests of one connection in turn, and the stream's is mostly
waiting for new records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from faust.types import TP

from k2app.errors import TransientError
from k2app.stream.kafka_cluster import Cluster
from k2app.stream.kafka_records import Columns

ANSWER_WITHIN_S = 30.0
"""Seconds for one answer: far above what a healthy cluster takes."""

LOOK_BACK = 16
"""Factor by which the look for the last record goes further back each time."""

RETRY_MS = 10
"""Milliseconds before a question is asked again: a topic that is asked for first costs one such round."""

LOOK_S = 0.2
"""Seconds per look for a record."""


T = TypeVar("T")


class Reader:
    """Reads without a group and without positions.

    Raises
    ------
    TransientError
        From every method: the cluster does not answer.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._cluster.servers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=1,
            retry_backoff_ms=RETRY_MS,
            request_timeout_ms=int(ANSWER_WITHIN_S * 1000),
            **self._cluster.access,
        )
        try:
            with _answering("anything"):
                await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def ask(self) -> None:
        """Ask any broker something."""
        with _answering("its topics"):
            await self._connected().topics()

    async def first_offsets(self, partitions: Collection[TP]) -> dict[TP, int]:
        """First kept offset of each partition."""
        with _answering("first offsets"):
            found = await self._connected().beginning_offsets(_aiokafka(partitions))
        return {TP(*tp): offset for tp, offset in found.items()}

    async def next_offsets(self, partitions: Collection[TP]) -> dict[TP, int]:
        """Next offset of each partition that can be read."""
        with _answering("next offsets"):
            found = await self._connected().end_offsets(_aiokafka(partitions))
        return {TP(*tp): offset for tp, offset in found.items()}

    async def readable_ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        """Offset after the last record of each partition: below its end where the log ends with markers."""
        first, end = await self.first_offsets(partitions), await self.next_offsets(partitions)
        return {tp: await self._readable_end(tp, first[tp], end[tp]) for tp in partitions}

    async def _readable_end(self, tp: TP, first: int, end: int) -> int:
        back = 1
        while (start := max(first, end - back)) < end:
            last = await self._reading(tp, start, partial(_after_last_record, tp=tp, start=start, end=end))
            if start == first or last is None or last > start:
                return first if last is None else last
            back *= LOOK_BACK
        return end

    async def read(self, tp: TP, offset: int, max_rows: int) -> Columns | None:
        """Read records from `offset` on; None: the log does not hold it. No records: only a marker is there."""
        return await self._reading(
            tp, offset, partial(_next_records, tp=tp, offset=offset, max_rows=max_rows)
        )

    async def _reading(
        self, tp: TP, offset: int, work: Callable[[AIOKafkaConsumer], Awaitable[T]]
    ) -> T | None:
        """Do `work` with a consumer that stands at `offset`; None: the log does not hold it."""
        async with self._turn:
            consumer = self._connected()
            consumer.assign(_aiokafka([tp]))
            try:
                with _answering(f"record {offset} of {tp.topic}/{tp.partition}"):
                    consumer.seek(*_aiokafka([tp]), offset)
                    return await asyncio.wait_for(work(consumer), ANSWER_WITHIN_S)
            except OffsetOutOfRangeError:
                return None
            finally:
                consumer.unsubscribe()

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise TransientError("not connected to Kafka yet")
        return self._consumer


async def _next_records(consumer: AIOKafkaConsumer, tp: TP, offset: int, max_rows: int) -> Columns:
    columns = Columns()
    while not columns.offsets and await consumer.position(*_aiokafka([tp])) <= offset:
        found = await consumer.getmany(timeout_ms=int(LOOK_S * 1000), max_records=max_rows)
        for records in found.values():
            for record in records:
                columns.add(record)
    return columns


async def _after_last_record(consumer: AIOKafkaConsumer, tp: TP, start: int, end: int) -> int:
    """Offset after the last record in [start, end); `start` if there is none."""
    last = start
    while await consumer.position(*_aiokafka([tp])) < end:
        for records in (await consumer.getmany(timeout_ms=int(LOOK_S * 1000))).values():
            last = min(records[-1].offset + 1, end)
    return last


def _aiokafka(partitions: Collection[TP]) -> list[TopicPartition]:
    return [TopicPartition(*tp) for tp in partitions]


@contextmanager
def _answering(what: str) -> Iterator[None]:
    try:
        yield
    except OffsetOutOfRangeError:
        raise
    except (KafkaError, TimeoutError) as error:
        raise TransientError(f"Kafka does not tell {what}: {error!r}") from error
