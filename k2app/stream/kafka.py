"""Faust transport over Kafka: its aiokafka driver, delivering batch topics as whole fetches.

Batch partitions are assigned by the consumer group and by nothing else positioned: from assignment on they are held
(paused, never reset by aiokafka), until their reader rewinds them to the lake's floor. What was fetched under an older
epoch is thrown away; see `k2app.stream.batches`. Changelogs are read the way Faust reads them.

Several workers share the topics. Each has a `K2_HOME` of its own, for its RocksDB files; the lake is one
(`K2_LAKE_URI`, `K2_LAKE_WAREHOUSE`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from k2app.errors import OperatorError, TransientError
from k2app.logs import FAUST_LOGGER
from k2app.stream.batches import BatchConsumerMixin, BatchRecord
from k2app.stream.kafka_admin import BROKERS_CHOICE
from k2app.stream.kafka_cluster import cluster_of
from k2app.stream.kafka_reader import Reader
from k2app.stream.kafka_records import to_batch
from k2app.stream.kafka_sending import PRODUCER_SETTINGS, Pair, give_up_silent_connections, send_pairs
from k2app.stream.kafka_thread import LOOK_S, ConsumerThread, RebalanceListener, Wanted
from k2app.stream.kafka_watch import Watch
from k2app.stream.record_batch import RecordBatch
from k2app.stream.worker_lock import WorkerLock


class Consumer(BatchConsumerMixin, driver.Consumer):
    """Consumer of Kafka topics, batch topics among them."""

    logger = FAUST_LOGGER
    RebalanceListener: ClassVar[type[RebalanceListener]] = RebalanceListener
    transport: Transport
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = WorkerLock(Path(str(self.app.conf.datadir)))
        self._beside = Reader(self.transport.cluster)
        self._watch = Watch(self.transport.cluster.url, self._ask)
        self._watching: asyncio.Task[None] | None = None
        self._told: dict[TP, int] = {}
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
        self._watching = asyncio.create_task(self._watch.run())

    async def on_stop(self) -> None:
        """Commit what was acknowledged, give up the state folder."""
        await super().on_stop()
        if self._watching is not None:
            self._watching.cancel()
        await self._beside.stop()
        self._lock.release()

    @property
    def trouble(self) -> str | None:
        """What it waits for; None if nothing."""
        return self._watch.trouble

    async def _ask(self) -> None:
        """Ask for what is needed to read on: the leaders of our partitions, or any broker if there are none yet."""
        ours = {tp for tp in self.assignment() if self.is_batch(tp)}
        await (self._beside.next_offsets(ours) if ours else self._beside.ask())

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take partitions; a topic that is gone would just not be among them."""
        self._told.clear()
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

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        done: bool = await super()._commit(offsets)
        if done:
            self._told.update(offsets)
        else:
            self.app.metrics.log.offset_commit_failures.inc()
        return done

    def told(self, tp: TP) -> int | None:
        """Next offset of a partition that is committed to the log; None: nothing was since it is ours."""
        return self._told.get(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        # Faust also takes what could not be committed for committed.
        return self._told.get(tp) != offset

    async def perform_seek(self) -> None:
        """Do nothing: batch partitions are positioned by their reader, changelogs by recovery."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Move nothing (see `perform_seek`), and so return nothing."""
        return {}

    def highwater(self, tp: TP) -> int:
        """Next offset of one partition, as of its last fetch, less what was found empty; 0 if there was none."""
        known: int | None = super().highwater(tp) if tp in self.assignment() else None
        return self.readable_end(tp, known or 0)

    def readable_end(self, tp: TP, end: int) -> int:
        """Offset after the last record below `end`: a log may end with markers of transactions."""
        return self._thread.readable_end(tp, end)

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

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        give_up_silent_connections(producer)
        return producer

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
        self.cluster = cluster_of(settings)
        self.log_id: str = self.app.log_id
        self.fetch_rows: int = settings.log.fetch_rows
        self.waiting_bytes_limit: int = settings.log.waiting_bytes
        self.batch_topics: frozenset[str] = self.app.batch_topics
