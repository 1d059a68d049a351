"""Bytes from a query's thread to the event loop, no faster than the client takes them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from k2app.query.beside import Bytes
from k2app.query.reading.pool import QueryCancelledError

WAITING_BYTES = 4 * 2**20
"""Bytes that may wait for the client: enough to write while the next batch is made."""


class Channel:
    """One writer in a thread, one reader on the loop. Made on the loop.

    Parameters
    ----------
    gathered_bytes
        The reader is woken for so many bytes: each time it has to take the interpreter from the writer.
    """

    def __init__(self, gathered_bytes: int = 0) -> None:
        self._gathered_bytes = gathered_bytes
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._changed = threading.Condition()
        self._waiting: deque[Bytes] = deque()
        self._held_bytes = 0
        self._ended = False
        self._closed = False

    def write(self, data: Bytes) -> None:
        """Hand on bytes; waits while too many wait for the client. Called in the query's thread.

        Raises
        ------
        QueryCancelledError
            Nobody reads any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._held_bytes < WAITING_BYTES)
            if self._closed:
                raise QueryCancelledError("the client went away")
            before = self._held_bytes
            self._waiting.append(data)
            self._held_bytes += len(data)
            if before <= self._gathered_bytes < self._held_bytes:
                self._loop.call_soon_threadsafe(self._ready.set)

    def end(self) -> None:
        """Nothing more comes. Called on the loop."""
        self._ended = True
        self._ready.set()

    def close(self) -> None:
        """Nobody reads any more: the writer is stopped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def wait(self) -> None:
        """Wait until there is something to read, or nothing more comes."""
        await self._ready.wait()

    def read(self) -> Bytes:
        """Everything that waits; empty only when nothing more comes, or nothing is there yet."""
        with self._changed:
            data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
            self._waiting.clear()
            self._held_bytes = 0
            if not self._ended:
                self._ready.clear()
            self._changed.notify_all()
            return data

    @property
    def is_done(self) -> bool:
        """Whether everything was read, and nothing more comes."""
        with self._changed:
            return self._ended and not self._waiting
