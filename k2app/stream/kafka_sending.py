"""Sending many records to Kafka: batches built here, a partition at a time, instead of a call per record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from faust.types import TP

Pair = tuple[bytes | None, bytes | None]
"""Key and value."""

BATCH_BYTES = 900_000
"""Bytes of a batch before compression: below the 1 MiB that brokers accept by default (`message.max.bytes`)."""

PRODUCER_SETTINGS: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "compression_type": "lz4",
    "max_batch_size": BATCH_BYTES,
}
"""What every producer of ours has: a record is there once, in order, and on every replica in sync."""


REQUEST_WITHIN_S = 15.0
"""Seconds for one request of a producer: a connection that says nothing any more is given up, the next one tried, and
brokers know batches that they have already. aiokafka's own limit is that of all attempts together, too."""


def give_up_silent_connections(producer: AIOKafkaProducer) -> None:
    """Make a producer that is not started yet notice within `REQUEST_WITHIN_S` that a connection is dead."""
    producer.client._request_timeout_ms = int(REQUEST_WITHIN_S * 1000)  # noqa: SLF001 - see there


async def send_pairs(
    producer: AIOKafkaProducer, tp: TP, pairs: Iterable[Pair], headers: Sequence[tuple[str, bytes]] = ()
) -> tuple[int, int]:
    """Send records to one partition, in their order; returns their offsets [start, end) once they are durable.

    Other producers' records may lie in between.

    Raises
    ------
    KafkaError
        The log did not confirm a batch: it and those after it may be there or not.
    """
    # aiokafka's batches take a list, and nothing else.
    listed = list(headers)
    now_ms = time.time_ns() // 1_000_000
    sent: list[tuple[asyncio.Future[Any], int]] = []
    batch = producer.create_batch()
    for key, value in pairs:
        if batch.append(key=key, value=value, timestamp=now_ms, headers=listed) is None:
            sent.append(await _submit(producer, batch, tp))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=now_ms, headers=listed)
    sent.append(await _submit(producer, batch, tp))
    done = await asyncio.gather(*(future for future, _ in sent))
    return done[0].offset, done[-1].offset + sent[-1][1]


async def _submit(producer: AIOKafkaProducer, batch: Any, tp: TP) -> tuple[asyncio.Future[Any], int]:
    """Hand a batch over; waits while an earlier one of the partition is in the queue."""
    return await producer.send_batch(batch, tp.topic, partition=tp.partition), batch.record_count()
