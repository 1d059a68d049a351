"""Sequence states as Faust tables: one table per topic, backed by RocksDB and a changelog topic.

Faust throws changelog futures away and only logs a failed publish; so states are written here a partition at a time,
changelog first and awaited, then RocksDB. (Per key, `table[key] = value` costs 150 µs.) What a table holds is a cache
of the lake, see `k2app.ingest.states`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faust
import rocksdict
from faust.types import TP

from k2app.errors import TransientError
from k2app.ingest.states import StateChange, Watermark
from k2app.logs import FAUST_LOGGER
from k2app.market.sequence_states import States
from tables.store import StateStore, is_damage
from tables.watermarks import WATERMARK_KEY, watermark_from_json

ROCKSDB_OPTIONS = {
    "driver": "rocksdict",
    "block_cache_size": 1024 * 1024,
    "write_buffer_size": 1024 * 1024,
    "max_write_buffer_number": 2,
    "max_open_files": 64,
}
"""Small: Faust's defaults are per partition, and there are dozens of partitions."""

Pairs = list[tuple[bytes | None, bytes | None]]


class SequenceTable(faust.Table):
    """States of one topic's symbols, by partition; keys and values are JSON."""

    logger = FAUST_LOGGER

    def _new_store_by_url(self, url: Any) -> StateStore:
        return StateStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )

    def read(self, partition: int) -> tuple[States, Watermark | None]:
        """Read one partition; the watermark is None if there is none or it cannot be read.

        Raises
        ------
        TransientError
            RocksDB fails (no space on the disk).
        """
        watermark: Watermark | None = None
        primitives: dict[str, Sequence[Any]] = {}
        with self._answering(partition):
            for key, value in self._items(partition):
                if key == WATERMARK_KEY:
                    watermark = watermark_from_json(value)
                else:
                    primitives[json.loads(key)] = json.loads(value)
        return States.from_primitives(primitives), watermark

    def folders(self) -> list[Path]:
        """Folders of RocksDB, by partition."""
        store = self.data
        return [store.partition_path(partition) for partition in range(self.partitions or 0)]

    def _items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        store = self.data
        items: Iterator[tuple[bytes, bytes]] = store._visible_items(  # noqa: SLF001 - no public way by partition
            store._db_for_partition(partition)  # noqa: SLF001 - as above
        )
        return items

    def apply(self, partition: int, pairs: Pairs, offset: int) -> None:
        """Write to RocksDB what the changelog holds up to `offset`.

        Raises
        ------
        TransientError
            RocksDB fails (no space on the disk).
        """
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in pairs:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        with self._answering(partition):
            self.data._db_for_partition(partition).write(batch)  # noqa: SLF001 - no public way to write a batch
            self.data.set_persisted_offset(TP(self.changelog_topic_name, partition), offset)

    @contextmanager
    def _answering(self, partition: int) -> Iterator[None]:
        """Turn what RocksDB raises into `TransientError`; rocksdict has no exception of its own for it."""
        try:
            yield
        except Exception as error:
            if type(error) is not Exception:
                raise
            # After a failed write, RocksDB takes no other until it is opened again.
            self.data.close(partition)
            if is_damage(error):
                self.data.set_aside(partition, error)
            raise TransientError(f"the states of {self.name}, partition {partition}: {error}") from error


class SequenceTables:
    """The sequence tables of an app, by topic: what `k2app.ingest` reads and writes."""

    def __init__(self, app: faust.App, tables: Mapping[str, SequenceTable]) -> None:
        self._app = app
        self._tables = tables

    def read(self, topic: str, partition: int) -> tuple[States, Watermark | None]:
        """See `k2app.ingest.states.StateTables`."""
        return self._tables[topic].read(partition)

    def folders(self, topic: str) -> list[Path]:
        """Folders of RocksDB of a topic's partitions; those of partitions that were never ours are not there."""
        return self._tables[topic].folders()

    async def write_states(self, changes: Sequence[StateChange]) -> None:
        """See `k2app.ingest.states.StateTables`."""
        await self._write([(c, _state_pairs(c)) for c in changes])

    async def write_watermarks(self, changes: Sequence[StateChange]) -> None:
        """See `k2app.ingest.states.StateTables`."""
        await self._write([(c, [(WATERMARK_KEY, _encode(asdict(c.watermark)))]) for c in changes])

    async def _write(self, writes: Sequence[tuple[StateChange, Pairs]]) -> None:
        places = {self._changelog(change): pairs for change, pairs in writes if pairs}
        if not places:
            return
        offsets: Mapping[TP, int] = await self._app.producer.send_all(places)
        for change, pairs in writes:
            if pairs:
                self._tables[change.topic].apply(change.partition, pairs, offsets[self._changelog(change)])

    def _changelog(self, change: StateChange) -> TP:
        return TP(self._tables[change.topic].changelog_topic_name, change.partition)


def _state_pairs(change: StateChange) -> Pairs:
    pairs: Pairs = [(_encode(key), _encode(value)) for key, value in change.changed.items()]
    return pairs + [(_encode(key), None) for key in change.removed]


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
