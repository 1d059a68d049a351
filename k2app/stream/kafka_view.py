"""Looking into Kafka from a command; see `k2app.stream.log_view`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from faust.types import TP

from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.kafka_cluster import Cluster
from k2app.stream.kafka_reader import Reader

READ_ROWS = 65_536
"""Records read at once."""

LAST_ROWS = 64
"""Records from the end that are looked through first for the newest of a key."""

LOOK_BACK = 16
"""Factor by which the next look reaches further back."""

T = TypeVar("T")
Pair = tuple[bytes | None, bytes | None]


class KafkaView:
    """Looks into one cluster. For one thread, beside no running event loop."""

    def __init__(self, cluster: Cluster) -> None:
        self._admin = KafkaAdmin(cluster)
        self.log_id = self._admin.cluster_id()
        self._runner = asyncio.Runner()
        self._reader = Reader(cluster)
        try:
            self._run(self._reader.start())
        except BaseException:
            self._runner.close()
            raise

    def bounds(self, names: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
        """See `LogView.bounds`; markers of transactions at the end are not counted."""
        counts = self._admin.partition_counts(list(names))
        tps = [TP(name, partition) for name, count in counts.items() for partition in range(count)]
        return {(tp.topic, tp.partition): bounds for tp, bounds in self._run(self._bounds(tps)).items()}

    async def _bounds(self, tps: list[TP]) -> dict[TP, tuple[int, int]]:
        first, end = await self._reader.first_offsets(tps), await self._reader.readable_ends(tps)
        return {tp: (first[tp], end[tp]) for tp in tps}

    def time_us_at(self, topic: str, partition: int, offset: int) -> int | None:
        """See `LogView.time_us_at`."""
        return self._run(self._time_us_at(TP(topic, partition), offset))

    async def _time_us_at(self, tp: TP, offset: int) -> int | None:
        first, end = (await self._bounds([tp]))[tp]
        async for _, times_ms, _ in self._read(tp, max(offset, first), end, 1):
            return times_ms * 1_000
        return None

    def records(self, topic: str, partition: int) -> Iterator[Pair]:
        """See `LogView.records`."""
        start, end = self.bounds([topic]).get((topic, partition), (0, 0))
        return iter(self._run(self._pairs(TP(topic, partition), start, end)))

    def newest(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """See `LogView.newest`."""
        first, end = self.bounds([topic]).get((topic, partition), (0, 0))
        rows = LAST_ROWS
        while end > first:
            start = max(first, end - rows)
            for found, value in reversed(self._run(self._pairs(TP(topic, partition), start, end))):
                if found == key:
                    return value
            end, rows = start, rows * LOOK_BACK
        return None

    async def _pairs(self, tp: TP, start: int, end: int) -> list[Pair]:
        return [pair async for _, _, pair in self._read(tp, start, end, READ_ROWS)]

    async def _read(
        self, tp: TP, start: int, end: int, max_rows: int
    ) -> AsyncIterator[tuple[int, int, Pair]]:
        """Offset, time in milliseconds, key and value of the records in [start, end)."""
        while start < end:
            columns = await self._reader.read(tp, start, max_rows)
            if columns is None:
                return
            for row, offset in enumerate(columns.offsets):
                if offset < end:
                    yield offset, columns.times_ms[row], (columns.keys[row], columns.values[row])
            # No records: a marker of a transaction stands there.
            start = columns.offsets[-1] + 1 if columns.offsets else start + 1

    def usage(self) -> None:
        """See `LogView.usage`: the log is on the brokers."""

    def close(self) -> None:
        """See `LogView.close`."""
        self._run(self._reader.stop())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)
