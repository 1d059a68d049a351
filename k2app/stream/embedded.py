"""Faust transport over the embedded log: the default, with nothing to install.

Several processes may append; one consumes, held by a lock of the operating system on a file beside the log.
Every call into SQLite runs on a thread of its role (reading, writing), never on the event loop.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from faust.assignor.client_assignment import ClientAssignment
from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.producer import Producer as FaustProducer
from faust.types import TP, ConsumerMessage
from faust.types.tuples import RecordMetadata

from k2app.errors import OperatorError, TransientError
from k2app.logs import FAUST_LOGGER, get
from k2app.stream.batches import BatchConsumerMixin, RecordBatch, batch_record
from k2app.stream.log_file import LogFile, Records, records_from_pairs
from k2app.stream.partitioner import partition_of

logger = get(__name__)

POLL_S = 0.02
"""Seconds between looks for new records when there are none: other processes append without telling us."""

CHANGELOG_FETCH_ROWS = 4_096
"""Records of a changelog read at once: Faust handles them one by one."""

CHANGELOG_FETCH_BYTES = 4 * 1024 * 1024
"""Bytes of a changelog read at once."""

CHANGELOG_SUFFIX = "-changelog"
"""Ending of the names that Faust gives to changelog topics."""

LOOK_S = 0.1
"""Seconds that taking the worker lock waits: whoever asks for its owner holds it for microseconds."""

T = TypeVar("T")


def log_path(url: str, variable: str = "K2_LOG_URL") -> Path:
    """Path of the file that a `sqlite:///PATH` URL names.

    Raises
    ------
    OperatorError
        The URL is of another form.
    """
    prefix = "sqlite:///"
    if not url.startswith(prefix) or len(url) == len(prefix):
        raise OperatorError(f"{variable} is {url!r}: a file is written sqlite:///PATH")
    return Path(url[len(prefix) :])


class WorkerLock:
    """The right to consume a log: one process at a time, given up when the process ends, however it ends."""

    def __init__(self, log: Path) -> None:
        self.path = log.with_name(log.name + ".worker")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        OperatorError
            Another process has it.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock_within(handle, LOOK_S)
        except OSError as error:
            owner = _process_id(handle) or "unknown"
            os.close(handle)
            raise OperatorError(
                f"another worker (process {owner}) already consumes {self.path.with_suffix('')}: the embedded log "
                "has one worker; stop it first, or use Kafka for more (K2_LOG_URL=kafka://HOST:PORT)"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        self._file = handle

    def release(self) -> None:
        """Give the lock up; harmless if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def held_by_another(self) -> bool:
        """Whether a living process consumes the log."""
        return self.owner() is not None

    def owner(self) -> int | None:
        """Id of the process that consumes the log; 0 if it has not written it down yet, None if there is none."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _process_id(handle)
        else:
            return None
        finally:
            os.close(handle)


def _lock_within(handle: int, within_s: float) -> None:
    """Take a lock that somebody else may look at for a moment; raises OSError if it is held for longer."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(within_s / 10)
        else:
            return


def _process_id(handle: int) -> int:
    text = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0


class _Role:
    """One connection to the log and the one thread that uses it."""

    def __init__(self, open_log: Callable[[], LogFile], name: str) -> None:
        self._open = open_log
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=f"log-{name}")
        self._log: LogFile | None = None

    async def call(self, work: Callable[[LogFile], T]) -> T:
        """Run `work` on this role's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, work)

    def _run(self, work: Callable[[LogFile], T]) -> T:
        if self._log is None:
            self._log = self._open()
        return work(self._log)

    def close(self) -> None:
        """Close the connection once what was asked of it is done."""
        self._threads.submit(self._close)
        self._threads.shutdown(wait=True)

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


class _ChangelogRecord(NamedTuple):
    offset: int
    timestamp_us: int
    key: bytes | None
    value: bytes | None


def compact_changelogs(log: LogFile) -> None:
    """Keep the last value per key of every changelog."""
    for topic in log.topics():
        if topic.compacted and topic.name.endswith(CHANGELOG_SUFFIX):
            for (name, partition), (_, end) in log.bounds([topic.name]).items():
                log.compact(name, partition, end)


class Consumer(BatchConsumerMixin, FaustConsumer):
    """Consumer of the embedded log: every partition of every subscribed topic is its own."""

    logger = FAUST_LOGGER
    consumer_stopped_errors: ClassVar[tuple[type[BaseException], ...]] = ()
    transport: Transport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._role = _Role(self.transport.open_log, "read")
        self._lock = WorkerLock(self.transport.log_path)
        self._assigned: set[TP] = set()
        self._next: dict[TP, int] = {}
        self._bounds: dict[tuple[str, int], tuple[int, int]] = {}

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

    # --- positions

    async def perform_seek(self) -> None:
        """Do nothing: batch partitions are positioned by their reader, changelogs by recovery."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Committed offsets of the assignment; nothing is moved (see `perform_seek`)."""
        known = await self._role.call(lambda log: log.committed(self.app.conf.id))
        return {TP(*tp): offset for tp, offset in known.items() if TP(*tp) in self._assigned}

    async def _seek(self, partition: TP, offset: int) -> None:
        self._next[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Read changelog `partitions` from these offsets next."""
        for tp, offset in partitions.items():
            self._next[tp] = offset
            self._read_offset[tp] = offset or None

    async def seek_to_beginning(self, *partitions: TP) -> None:
        """Read `partitions` from their first kept offset next."""
        await self.seek_wait(await self.earliest_offsets(*partitions))

    async def position(self, tp: TP) -> int | None:
        """Next offset to read of a changelog partition."""
        return self._next.get(tp)

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """First kept offset of each partition."""
        bounds = await self._look({tp.topic for tp in partitions})
        return {tp: bounds[tp][0] for tp in partitions if tp in bounds}

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Next offset of each partition, as of now."""
        bounds = await self._look({tp.topic for tp in partitions})
        return {tp: bounds[tp][1] for tp in partitions if tp in bounds}

    def highwater(self, tp: TP) -> int:
        """Next offset of one partition, as of the last look."""
        return self._bounds.get(tp, (0, 0))[1]

    async def _look(self, topics: set[str]) -> dict[tuple[str, int], tuple[int, int]]:
        self._bounds |= await self._role.call(lambda log: log.bounds(topics))
        return self._bounds

    async def read_batch(self, tp: TP, offset: int, max_rows: int) -> RecordBatch | None:
        """Read records of one partition from `offset` on, without moving any position."""
        return await self._role.call(
            lambda log: log.read(tp.topic, tp.partition, offset, max_rows=max_rows, max_bytes=2**62)
        )

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

    async def _fetch_changelog(self, tp: TP, at: int) -> list[_ChangelogRecord]:
        batch = await self._role.call(
            lambda log: log.read(
                tp.topic,
                tp.partition,
                at,
                max_rows=CHANGELOG_FETCH_ROWS,
                max_bytes=CHANGELOG_FETCH_BYTES,
            )
        )
        if batch is None:
            return []
        self._next[tp] = batch.next_offset
        return [
            _ChangelogRecord(int(batch.offsets[i]), int(batch.times_us[i]), batch.key(i), batch.value(i))
            for i in range(len(batch))
        ]

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


class Producer(FaustProducer):
    """Producer into the embedded log: durable when the call returns."""

    logger = FAUST_LOGGER

    transport: Transport

    def __post_init__(self) -> None:
        """Prepare the writing role; the file is opened at the first write."""
        self._role = _Role(self.transport.open_log, "write")

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


class Transport(base.Transport):
    """The embedded log as a Faust transport; the app carries what it needs (see `k2app.app`)."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
    driver_version = "sqlite"
    default_port = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.app.settings
        self.log_path = log_path(settings.log_url)
        self.synchronous: str = settings.log.synchronous
        self.fetch_rows: int = settings.log.fetch_rows
        self.fetch_bytes: int = settings.log.fetch_bytes
        self.waiting_bytes_limit: int = settings.log.waiting_bytes
        self.batch_topics: frozenset[str] = self.app.batch_topics

    def open_log(self) -> LogFile:
        """Open a connection for one role."""
        return LogFile(self.log_path, synchronous=self.synchronous)
