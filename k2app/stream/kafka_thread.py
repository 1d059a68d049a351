"""The thread that aiokafka's consumer lives on: holds, positions, fetches.

It reads aiokafka's internals (0.14), since what aiokafka offers makes an object of every record; see
`k2app.stream.kafka_records`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from k2app.errors import OperatorError
from k2app.logs import FAUST_LOGGER, get
from k2app.stream.batches import batch_record
from k2app.stream.changelogs import CHANGELOG_FETCH_ROWS
from k2app.stream.kafka_records import read_fetched, to_batch
from k2app.stream.record_batch import RecordBatch

logger = get(__name__)

LOOK_S = 0.1
"""Seconds for which one call waits for records: partitions that become readable meanwhile are asked for after it."""

PAUSE_S = 0.02
"""Seconds to wait when no partition may be read: its reader is restoring it, or too much is waiting."""

FETCH_WAIT_MS = 250
"""Milliseconds that the broker holds an empty fetch back. While it does, no other partition of it can be asked for:
Faust's 1.5 s would be added to every start."""

PARTITION_FETCH_BYTES = 8 * 1024 * 1024
"""Bytes, compressed, asked of one partition at once: enough for some ten thousand rows per round trip."""


class Wanted(NamedTuple):
    """A batch partition to read: from where, and under which epoch."""

    tp: TP
    position: int
    epoch: int


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Holds batch partitions before aiokafka can position them by itself."""

    async def on_partitions_assigned(self, assigned: Iterable[TP]) -> None:
        """Call on the consumer's thread when partitions are assigned."""
        self._thread.hold(assigned)
        await super().on_partitions_assigned(assigned)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that aiokafka's consumer lives on."""

    logger = FAUST_LOGGER
    _epochs: dict[TP, int]
    _rest: dict[TP, RecordBatch]
    _others: set[TP]
    _empty: dict[TP, tuple[int, int]]
    """Offsets [from, to) after the last record that was read: markers and given up transactions, no record."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._epochs, self._rest, self._others = {}, {}, set()
        self._empty = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read when the consumer starts; Faust has no settings for them.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - no other way past Faust's own
        consumer._group_instance_id = self.consumer.worker_id  # noqa: SLF001 - as above
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - as above
        consumer._max_partition_fetch_bytes = PARTITION_FETCH_BYTES  # noqa: SLF001 - as above
        return consumer

    def hold(self, assigned: Iterable[TP]) -> None:
        """Give partitions a position and pause them: one that has none would be reset by aiokafka."""
        self._epochs.clear()
        self._rest.clear()
        self._others.clear()
        self._empty.clear()
        consumer = self._ensure_consumer()
        for tp in assigned:
            consumer.seek(TopicPartition(*tp), 0)
            consumer.pause(TopicPartition(*tp))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit offsets. They are a hint, the lake holds the truth: a failure is worth a line, not the worker."""
        ours = self.assignment()
        known = {TopicPartition(*tp): OffsetAndMetadata(at, "") for tp, at in offsets.items() if tp in ours}
        try:
            if known:
                await self._ensure_consumer().commit(known)
        except KafkaError as error:
            logger.warning("offsets_not_committed", error=repr(error))
            return False
        return bool(known)

    def has_topic(self, topic: str) -> bool:
        """Whether the cluster has a topic, as of the last metadata."""
        return bool(self._ensure_consumer().partitions_for_topic(topic))

    def readable_end(self, tp: TP, end: int) -> int:
        """Offset after the last record below `end`, as far as it was read; for any thread."""
        begin, to = self._empty.get(tp, (end, end))
        return begin if begin < end <= to else end

    async def fetch(self, wanted: Sequence[Wanted], others: set[TP], timeout_s: float) -> dict[TP, list[Any]]:
        """Fetch batch partitions as one record each, others as they are."""
        found: dict[TP, list[Any]] = await self.call_thread(self._fetch, wanted, others, timeout_s)
        return found

    async def _fetch(
        self, wanted: Sequence[Wanted], others: set[TP], timeout_s: float
    ) -> dict[TP, list[Any]]:
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001 - getmany() makes an object of every record
        ready = [w for w in wanted if self._positioned(w)]
        self._let_others(others)
        # The context tells aiokafka that we are alive, whatever we wait for.
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001 - as above
            # Asked here, not by the caller: a fetch begun after the flow stopped would wait for the rebalance.
            if not self.consumer.flow_active or not (ready or others):
                await asyncio.sleep(PAUSE_S)
                return {}
            try:
                found = await self._batches(fetcher, ready, timeout_s) if ready else {}
                if others:
                    found |= await fetcher.fetched_records(
                        others, timeout=0 if found else timeout_s, max_records=CHANGELOG_FETCH_ROWS
                    )
            except KafkaError as error:
                raise OperatorError(f"Kafka cannot be read: {error!r}") from error
            return found

    def _let_others(self, others: set[TP]) -> None:
        """Let aiokafka fetch these changelogs, and no longer those that recovery is done with."""
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for tp in (self._others ^ others) & assigned:
            turn = consumer.resume if tp in others else consumer.pause
            turn(TopicPartition(*tp))
        self._others = others & assigned

    async def _batches(self, fetcher: Any, ready: Sequence[Wanted], timeout_s: float) -> dict[TP, list[Any]]:
        """What there is of `ready` partitions, or will be within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            taken = {w.tp: self._take(fetcher, w) for w in ready}
            found = {tp: [batch_record(batch)] for tp, batch in taken.items() if batch is not None}
            left_s = deadline - time.monotonic()
            if found or left_s <= 0 or not self.consumer.flow_active:
                return found
            waiter = fetcher._create_fetch_waiter()  # noqa: SLF001 - see `_fetch`
            await asyncio.wait([waiter], timeout=left_s)
            if not waiter.cancel():
                waiter.result()

    def _take(self, fetcher: Any, wanted: Wanted) -> RecordBatch | None:
        """Take a batch of one partition from what was fetched; what is beyond `fetch_rows` is kept for the next."""
        batch = self._rest.pop(wanted.tp, None)
        if batch is None or batch.epoch != wanted.epoch:
            batch = self._read(fetcher, wanted)
        if batch is None:
            return None
        limit: int = self.transport.fetch_rows
        if len(batch) > limit:
            self._rest[wanted.tp] = batch.rows(limit, len(batch))
        return replace(batch.rows(0, min(limit, len(batch))), position=wanted.position)

    def _read(self, fetcher: Any, wanted: Wanted) -> RecordBatch | None:
        fetched = fetcher._records.pop(wanted.tp, None)  # noqa: SLF001 - see `_fetch`
        if fetched is None:
            return None
        fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001 - it may fetch on
        if not isinstance(fetched, FetchResult):
            fetched.check_raise()
        if not fetched.check_assignment(wanted.tp):
            return None
        columns = read_fetched(fetched._partition_records)  # noqa: SLF001 - as above
        fetched._update_position()  # noqa: SLF001 - as above
        begin = columns.offsets[-1] + 1 if columns.offsets else wanted.position
        self._empty[wanted.tp] = (begin, fetched._partition_records.next_fetch_offset)  # noqa: SLF001 - as above
        if not columns.offsets:
            return None
        if columns.offsets[0] < wanted.position:
            raise OperatorError(_cut_back(wanted, columns.offsets[0]))
        return to_batch(self.transport.log_id, wanted.tp, columns, epoch=wanted.epoch)

    def _positioned(self, wanted: Wanted) -> bool:
        """Whether aiokafka reads the partition under this epoch; it is made to."""
        consumer = self._ensure_consumer()
        tp = TopicPartition(*wanted.tp)
        if tp not in consumer.assignment():
            return False
        if self._epochs.get(wanted.tp) != wanted.epoch:
            consumer.seek(tp, wanted.position)
            consumer.resume(tp)
            self._epochs[wanted.tp] = wanted.epoch
        return True


def _cut_back(wanted: Wanted, offset: int) -> str:
    return (
        f"{wanted.tp.topic}/{wanted.tp.partition} was read up to {wanted.position} and starts again at {offset}: the "
        "topic was recreated or its log cut back; see what became of it, and start the worker again, which compares "
        "it with the lake"
    )
