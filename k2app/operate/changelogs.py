"""Sequence states as the log's changelogs hold them: readable beside a running worker, and without one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from k2app.ingest.states import Watermark
from k2app.market.sequence_states import States
from k2app.stream.batches import RecordBatch
from k2app.stream.log_space import LogSpace
from tables.sequences import WATERMARK_KEY, watermark_from_json

READ_ROWS = 65_536
"""Records read at once."""

EVERY = 2**62
"""More rows and bytes than there are: a stored batch is read to its end."""

READ_BYTES = 16 * 1024 * 1024
"""Bytes read at once."""


def changelog_of(consumer_group: str, topic: str) -> str:
    """Name of the changelog of a topic's sequence table, as Faust makes it."""
    return f"{consumer_group}-{topic}-sequences-changelog"


def last_watermark(log: LogSpace, changelog: str, partition: int) -> Watermark | None:
    """The newest watermark of one partition. It is written last, so few records are read."""
    if log.topic(changelog) is None:
        return None
    for offset in reversed(log.first_offsets(changelog, partition)):
        batch = log.read(changelog, partition, offset, max_rows=EVERY, max_bytes=EVERY)
        found = None if batch is None else _newest(batch, WATERMARK_KEY)
        if found is not None:
            return watermark_from_json(found)
    return None


def _newest(batch: RecordBatch, key: bytes) -> bytes | None:
    rows = reversed(range(len(batch)))
    return next((batch.value(row) for row in rows if batch.key(row) == key), None)


def stored_states(log: LogSpace, changelog: str, partition: int) -> tuple[States, Watermark | None]:
    """States and watermark of one partition, as a worker would recover them."""
    latest = dict(_records(log, changelog, partition))
    mark = latest.pop(WATERMARK_KEY, None)
    primitives: dict[str, Sequence[Any]] = {
        json.loads(key): json.loads(value) for key, value in latest.items() if key and value is not None
    }
    return States.from_primitives(primitives), None if mark is None else watermark_from_json(mark)


def _records(log: LogSpace, changelog: str, partition: int) -> Iterator[tuple[bytes | None, bytes | None]]:
    at = 0
    while log.topic(changelog) is not None:
        batch = log.read(changelog, partition, at, max_rows=READ_ROWS, max_bytes=READ_BYTES)
        if batch is None:
            return
        yield from ((batch.key(row), batch.value(row)) for row in range(len(batch)))
        at = batch.next_offset
