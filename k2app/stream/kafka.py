"""Faust transport over Kafka: its aiokafka driver, delivering batch topics as whole fetches.

Batch partitions are assigned by the consumer group and by nothing else positioned: from assignment on they are held
(paused, never reset by aiokafka), until their reader rewinds them to the lake's floor. What was fetched under an older
epoch is thrown away; see `k2app.stream.batches`. Changelogs are read the way Faust reads them.

Several workers share the topics. Each has a `K2_HOME` of its own, for its RocksDB files; the lake is one
(`K2_LAKE_URI`, `K2_LAKE_WAREHOUSE`).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from k2app.errors import OperatorError, TransientError
from k2app.logs import FAUST_LOGGER
from k2app.stream.batches import BatchConsumerMixin, BatchRecord, RecordBatch, batch_record
from k2app.stream.embedded import CHANGELOG_FETCH_ROWS, WorkerLock
from k2app.stream.kafka_admin import BROKERS_CHOICE, servers
from k2app.stream.kafka_reader import Reader
from k2app.stream.kafka_records import read_fetched, to_batch
from k2app.stream.kafka_sending import PRODUCER_SETTINGS, Pair, send_pairs

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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._epochs, self._rest, self._others = {}, {}, set()

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
        consumer = self._ensure_consumer()
        for tp in assigned:
            consumer.seek(TopicPartition(*tp), 0)
            consumer.pause(TopicPartition(*tp))

    def has_topic(self, topic: str) -> bool:
        """Whether the cluster has a topic, as of the last metadata."""
        return bool(self._ensure_consumer().partitions_for_topic(topic))

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


class Consumer(BatchConsumerMixin, driver.Consumer):
    """Consumer of Kafka topics, batch topics among them."""

    logger = FAUST_LOGGER
    RebalanceListener: ClassVar[type[RebalanceListener]] = RebalanceListener
    transport: Transport
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = WorkerLock(Path(str(self.app.conf.datadir)))
        self._beside = Reader(self.transport.servers)
        self.worker_id: str | None = None
        """Name of this worker in the group (Source: KIP-345, static membership): one that is started again within
        the session timeout gets its partitions back at once, also after a crash."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        """Take the state folder: its RocksDB files have one user.

        Raises
        ------
        OperatorError
            Another worker has it.
        """
        try:
            self._lock.acquire()
        except OperatorError as error:
            raise OperatorError(
                f"another worker uses the state in {self._lock.path.parent}: give each worker a K2_HOME of its own, "
                "and all of them the same lake (K2_LAKE_URI, K2_LAKE_WAREHOUSE)"
            ) from error
        self.worker_id = _worker_id(Path(str(self.app.conf.datadir)))
        await self._beside.start()
        await super().on_start()

    async def on_stop(self) -> None:
        """Commit what was acknowledged, give up the state folder."""
        await super().on_stop()
        await self._beside.stop()
        self._lock.release()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take partitions; a topic that is gone would just not be among them."""
        await super().on_partitions_assigned(assigned, generation_id)
        gone = sorted(topic for topic in self.batch_topics if not self._thread.has_topic(topic))
        if gone:
            await self.app.fail(
                OperatorError(
                    f"Kafka no longer has {', '.join(gone)}: see what became of it; if it is to start anew, the worker "
                    "makes it when it is started, and compares it with the lake"
                )
            )

    # --- fetching

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> dict[TP, list[Any]]:
        active = active_partitions or set()
        wanted = [Wanted(*entry) for entry in self.positions.ready() if entry[0] in active]
        others = {tp for tp in active if not self.is_batch(tp)}
        found = await self._thread.fetch(wanted, others, min(timeout, LOOK_S))
        return {tp: records for tp, records in found.items() if self._is_current(records[0])}

    def _is_current(self, record: Any) -> bool:
        return not isinstance(record, BatchRecord) or self.positions.fetched(record.value)

    # --- positions

    async def perform_seek(self) -> None:
        """Do nothing: batch partitions are positioned by their reader, changelogs by recovery."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Move nothing (see `perform_seek`), and so return nothing."""
        return {}

    def highwater(self, tp: TP) -> int:
        """Next offset of one partition, as of its last fetch; 0 if there was none."""
        known: int | None = super().highwater(tp) if tp in self.assignment() else None
        return known or 0

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """First kept offset of each partition."""
        return await self._beside.first_offsets(partitions)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Next offset of each partition, as of now; what open transactions wrote is not there yet."""
        return await self._beside.next_offsets(partitions)

    async def readable_ends(self, *partitions: TP) -> dict[TP, int]:
        """Offset after the last record of each partition: a log may end with markers of transactions."""
        return await self._beside.readable_ends(partitions)

    async def read_batch(self, tp: TP, offset: int, max_rows: int) -> RecordBatch | None:
        """Read records of one partition from `offset` on, without moving any position."""
        columns = await self._beside.read(tp, offset, max_rows)
        if columns is None or not columns.offsets:
            return None
        return to_batch(self.transport.log_id, tp, columns, position=offset)

    # --- what else Faust asks of a consumer

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: it watches single messages; the lag metric and readiness watch batches."""

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Make a topic if it does not exist, replicated as the cluster is configured to."""
        del replication
        await super().create_topic(topic, partitions, BROKERS_CHOICE, **options)


def _worker_id(folder: Path) -> str:
    """Name kept in the state folder; made if there is none. Two workers never share a folder."""
    path = folder / "worker-id"
    if not path.exists():
        path.write_text(uuid.uuid4().hex)
    return path.read_text()


class Producer(driver.Producer):
    """Producer into Kafka: acknowledged by every replica in sync, never twice."""

    logger = FAUST_LOGGER

    def _settings_extra(self) -> Mapping[str, Any]:
        return PRODUCER_SETTINGS

    async def send_all(self, records: Mapping[TP, Sequence[Pair]]) -> dict[TP, int]:
        """Send records to several partitions; returns the offset of each one's last, once all are durable.

        Not atomic: the sequence tables' watermarks tell what is whole.

        Raises
        ------
        TransientError
            The cluster did not confirm them.
        """
        producer = self._ensure_producer()
        try:
            ends = await asyncio.gather(*(send_pairs(producer, tp, pairs) for tp, pairs in records.items()))
        except KafkaError as error:
            raise TransientError(f"Kafka did not confirm sequence states: {error!r}") from error
        return {tp: end - 1 for tp, (_, end) in zip(records, ends, strict=True)}

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Make a topic if it does not exist, replicated as the cluster is configured to."""
        del replication
        await super().create_topic(topic, partitions, BROKERS_CHOICE, **options)


class Transport(driver.Transport):
    """Kafka as a Faust transport; the app carries what it needs (see `k2app.app`)."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.app.settings
        self.servers = servers(settings.log_url)
        self.log_id: str = self.app.log_id
        self.fetch_rows: int = settings.log.fetch_rows
        self.waiting_bytes_limit: int = settings.log.waiting_bytes
        self.batch_topics: frozenset[str] = self.app.batch_topics
