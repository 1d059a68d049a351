"""Publishing Arrow tables to Kafka topics; see `k2app.stream.publisher`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from faust.types import TP

from k2app.errors import OperatorError, TransientError
from k2app.stream.kafka_cluster import Cluster
from k2app.stream.kafka_sending import PRODUCER_SETTINGS, Pair, give_up_silent_connections, send_pairs
from k2app.stream.log_records import Records
from k2app.stream.publisher import Headers, Outlet, to_records
from k2app.stream.record_batch import Int64s

CLOSE_WITHIN_S = 10.0
"""Seconds to end in order: a cluster that answers takes a fraction of it, for one that does not it is in vain."""

T = TypeVar("T")


class KafkaPublisher:
    """Publisher into Kafka: a table is on every replica in sync when the call returns.

    A table is not one transaction. If the cluster stops answering half-way, part of it may be there: the error says
    so, and is not one to try again by itself, since rows without a sequence would be there twice.
    """

    def __init__(self, cluster: Cluster, log_id: str, confirm_within_s: float) -> None:
        self._cluster = cluster
        self._confirm_within_s = confirm_within_s
        self.log_id = log_id
        self._loop = _LoopThread()
        self._producer: AIOKafkaProducer | None = None

    def publish(self, outlet: Outlet, rows: pa.Table) -> dict[int, tuple[int, int]]:
        """See `Publisher.publish`.

        Raises
        ------
        TransientError
            The cluster cannot be reached; nothing was sent.
        OperatorError
            The cluster did not confirm what was sent.
        """
        return self.publish_records(outlet.topic, lambda partitions: to_records(rows, outlet, partitions))

    def publish_records(
        self, topic: str, deal: Callable[[int], Sequence[Records]], headers: Headers = ()
    ) -> dict[int, tuple[int, int]]:
        """See `Publisher.publish_records`; errors as of `publish`."""
        with self._answering():
            producer = self._loop.run(self._started())
            partitions = self._loop.run(producer.partitions_for(topic))
        parts = deal(len(partitions))
        try:
            return self._loop.run(
                asyncio.wait_for(_send(producer, topic, parts, headers), self._confirm_within_s)
            )
        except (KafkaError, TimeoutError) as error:
            raise OperatorError(
                f"Kafka at {self._cluster.url} did not confirm {sum(map(len, parts)):,} rows for {topic} within "
                f"{self._confirm_within_s:g} s (K2_KAFKA_CONFIRM_WITHIN_S; {error!r}): "
                "part of them may be there; load the file again once it answers: copies are told by their sequence"
            ) from error

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._cluster.servers,
                request_timeout_ms=int(self._confirm_within_s * 1000),
                **self._cluster.access,
                **PRODUCER_SETTINGS,
            )
            give_up_silent_connections(producer)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except UnknownTopicOrPartitionError as error:
            raise OperatorError(f"{error}: run `k2 init`") from error
        except KafkaError as error:
            raise TransientError(f"Kafka at {self._cluster.url} does not answer: {error!r}") from error

    def close(self) -> None:
        """See `Publisher.close`."""
        if self._producer is not None:
            self._loop.run(_stop(self._producer))
            self._producer = None
        self._loop.close()


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer; what could not be sent in time is given up: aiokafka would try for ever."""
    try:
        await asyncio.wait_for(producer.stop(), CLOSE_WITHIN_S)
    except TimeoutError:
        await producer.client.close()


async def _send(
    producer: AIOKafkaProducer, topic: str, parts: Sequence[Records], headers: Headers
) -> dict[int, tuple[int, int]]:
    sent = await asyncio.gather(
        *(send_pairs(producer, TP(topic, r.partition), _pairs(r), headers) for r in parts)
    )
    return {r.partition: offsets for r, offsets in zip(parts, sent, strict=True)}


def _pairs(records: Records) -> Iterable[Pair]:
    return zip(
        _cells(records.keys, records.key_lengths),
        _cells(records.values, records.value_lengths),
        strict=True,
    )


def _cells(joined: bytes | pa.Buffer, lengths: Int64s) -> Iterator[bytes]:
    whole = joined if isinstance(joined, bytes) else joined.to_pybytes()
    start = 0
    for end in np.cumsum(lengths).tolist():
        yield whole[start:end]
        start = end


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _LoopThread:
    """An event loop on a thread of its own: the producer keeps its connections alive between two calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-publish", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Stop the loop, and what still runs on it."""
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
