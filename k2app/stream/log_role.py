"""Calls into SQLite from the event loop: on a thread of their role (reading, writing), never on the loop itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from k2app.stream.log_file import LogFile

T = TypeVar("T")


class Role:
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
