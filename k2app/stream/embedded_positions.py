"""Where a consumer of the embedded log stands: what is kept, what is next, what is committed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP

from k2app.stream.batches import BatchConsumerMixin
from k2app.stream.log_role import Role
from k2app.stream.record_batch import RecordBatch

if TYPE_CHECKING:
    from k2app.stream.embedded import Transport


class PositionedConsumer(BatchConsumerMixin, FaustConsumer):
    """A consumer's connection to the log, and its positions."""

    transport: Transport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._role = Role(self.transport.open_log, "read")
        self._assigned: set[TP] = set()
        self._next: dict[TP, int] = {}
        self._bounds: dict[tuple[str, int], tuple[int, int]] = {}

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
