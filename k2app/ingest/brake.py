"""The brake on reading: held while the disk is about to be full, and, in steps, while memory is short.

Held means that the log is not asked for more; what was read is still committed. Where memory is short, what is
buffered is committed at once, and then the next batches are read, a step a second at most: memory that others hold
(queries, allocators) slows reading down, and never stops it for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import pyarrow as pa

from k2app.ingest.disk import DiskGuard
from k2app.ingest.memory import MemoryGuard
from k2app.ingest.waiting import Waiting
from k2app.logs import get
from k2app.stream.batches import BatchPositions

logger = get(__name__)

LOOK_S = 0.1
"""Seconds between looks at the memory: within it, one fetch of each partition can come in."""

COMMIT_EVERY_S = 1.0
"""Least seconds between commits while memory is short: each is a snapshot and files, however little it holds."""

DISK_LOOK_S = 1.0
"""Seconds between looks at the disks: the limit is many times what is written within it."""


class Buffering(Protocol):
    """What the brake asks of an ingest."""

    @property
    def uncommitted(self) -> int:
        """Records that were read and are not in the lake yet."""

    def flush_soon(self) -> None:
        """Commit what is buffered as soon as possible."""


class Brake:
    """Looks at memory and disks, for one worker.

    Parameters
    ----------
    ingests
        Everything that buffers what was read.
    fail
        Ends the worker.
    pausing
        Hears each time that reading is about to pause, and what for: `memory`, `disk`.
    """

    def __init__(
        self,
        memory: MemoryGuard,
        disk: DiskGuard,
        ingests: Collection[Buffering],
        fail: Callable[[BaseException], Awaitable[None]],
        pausing: Callable[[str], None] | None = None,
    ) -> None:
        self.memory = memory
        self.disk = disk
        self._ingests = ingests
        self._fail = fail
        self._pausing = pausing or (lambda _: None)
        self._positions: BatchPositions | None = None
        self._looking: list[asyncio.Task[None]] = []
        self._waiting = Waiting(part="disk")
        self._was_short = False

    @property
    def held(self) -> bool:
        """Whether nothing is fetched at this moment."""
        return self.held_by_disk or self.held_by_memory

    @property
    def held_by_disk(self) -> bool:
        """Whether nothing is fetched because the disk is about to be full."""
        return self.disk.trouble is not None

    @property
    def held_by_memory(self) -> bool:
        """Whether nothing is fetched until what was is committed, because memory is short."""
        return self.memory.short and self._unfinished

    @property
    def _unfinished(self) -> bool:
        waiting = 0 if self._positions is None else self._positions.waiting_bytes
        return waiting > 0 or any(ingest.uncommitted for ingest in self._ingests)

    def start(self, positions: BatchPositions) -> None:
        """Hold these positions from now on whenever it must be."""
        self._positions = positions
        positions.held = lambda: self.held
        watches = (self._watch_memory(), self._watch_disk())
        self._looking = [asyncio.create_task(self._guard(watch)) for watch in watches]

    async def stop(self) -> None:
        """Look no more."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    async def _guard(self, watch: Awaitable[None]) -> None:
        try:
            await watch
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the top of a task: the worker must not go on without it
            await self._fail(error)

    async def _watch_memory(self) -> None:
        clock, due_s = asyncio.get_running_loop().time, 0.0
        while True:
            self.memory.look()
            self._tell_memory()
            if self.memory.short and clock() >= due_s:
                due_s = clock() + COMMIT_EVERY_S
                for ingest in self._ingests:
                    if ingest.uncommitted:
                        ingest.flush_soon()
            await asyncio.sleep(LOOK_S)

    async def _watch_disk(self) -> None:
        while True:
            # A disk of the network may not answer.
            was_full = self.disk.trouble is not None
            await asyncio.to_thread(self.disk.look)
            if self.disk.trouble is not None and not was_full:
                self._pausing("disk")
            self._waiting.look(self.disk.trouble, asyncio.get_running_loop().time())
            if self.memory.short:
                # What Arrow keeps for itself of what was freed.
                await asyncio.to_thread(pa.default_memory_pool().release_unused)
            await asyncio.sleep(DISK_LOOK_S)

    def _tell_memory(self) -> None:
        if self.memory.short is self._was_short:
            return
        self._was_short = self.memory.short
        told = {"used_bytes": self.memory.used_bytes, "limit_bytes": self.memory.limit_bytes}
        if self.memory.short:
            self._pausing("memory")
            logger.warning("memory_short", reading="only what is committed before the next", **told)
        else:
            logger.info("memory_enough", **told)
