"""Answers and replays under asyncio: what the blocking client does, on threads.

Each step (a batch, some rows) is one hand-over to a thread, so that the event loop waits for none of them. A step whose
task is cancelled ends by itself, when the server sends the next bytes or after `timeout_s`; what it brought is dropped.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import pyarrow as pa

from k2app.client.answer import Answer
from k2app.client.opened import Notice, Opened
from k2app.client.replay import Replay
from k2app.client.replay_lines import Line
from k2app.errors import OperatorError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Way = TypeVar("Way", bound=Opened)

T = TypeVar("T")

ROWS_AT_ONCE = 1_024
"""Rows of a step: a hand-over takes as long as to make some of them."""


class AsyncOpened(Generic[Way]):
    """Rows on their way. Nothing is asked before the first `await`; errors are raised there.

    Use `async with` where it is not read to its end: the server then stops. What it says of itself (`snapshots`,
    `warnings`) is known within `async with`, and after the first rows.

    Parameters
    ----------
    threads
        Where it blocks.
    ask
        Asks the server.
    """

    def __init__(self, threads: Executor, ask: Callable[[], Way]) -> None:
        self._threads = threads
        self._ask = ask
        self._opened: Way | None = None
        self._closed = False
        # Steps follow each other, whatever became of the tasks that waited for them.
        self._one_at_once = threading.Lock()

    @property
    def snapshots(self) -> dict[str, int | None]:
        """Snapshot id of every table that takes part; None where it had none yet."""
        return self._known().snapshots

    @property
    def pin(self) -> str:
        """The same as text: given as `snapshots`, it has the same answer again."""
        return self._known().pin

    @property
    def as_of(self) -> datetime | None:
        """When the newest of them was committed; None if nothing was."""
        return self._known().as_of

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What is left out, and what is missing."""
        return self._known().warnings

    async def close(self) -> None:
        """Stop here; does not wait for a step that is under way."""
        self._closed = True
        # Threads that are gone have closed it.
        with suppress(RuntimeError):
            self._threads.submit(self._end)

    async def _step(self, work: Callable[[Way], T]) -> T:
        """Do something with the open answer, on a thread."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()

        def tell(done: Future[T]) -> None:
            # A loop that has ended (asyncio.run) did not wait for the step; `run_in_executor` would complain.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_hand_on, done, told)

        running = self._threads.submit(self._do, work)
        running.add_done_callback(tell)
        try:
            return await told
        finally:
            running.cancel()

    async def _each(self, begin: Callable[[Way], Iterator[T]], at_once: int) -> AsyncIterator[T]:
        """Hand out what an iterator of the open answer has, so many at a time."""
        left = await self._step(begin)
        while items := await self._step(lambda _: list(islice(left, at_once))):
            for item in items:
                yield item

    def _do(self, work: Callable[[Way], T]) -> T:
        with self._one_at_once:
            if self._closed:
                raise OperatorError("the answer was closed before its end; ask again")
            if self._opened is None:
                self._opened = self._ask()
            return work(self._opened)

    def _end(self) -> None:
        with self._one_at_once:
            if self._opened is not None:
                self._opened.close()

    def _known(self) -> Way:
        if self._opened is None:
            raise OperatorError("nothing was asked yet: read some of it, or use `async with`")
        return self._opened

    async def __aenter__(self) -> Self:
        await self._step(_nothing)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncAnswer(AsyncOpened[Answer]):
    """What a query answered, while it comes in; as `Answer`, its methods awaited."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of every batch."""
        return self._known().schema

    @property
    def next(self) -> str | None:
        """Cursor of what comes after the last row, where a limit ended the answer; known when all was read."""
        return self._known().next

    def batches(self) -> AsyncIterator[pa.RecordBatch]:
        """Rows as they come in; see `Answer.batches`."""
        return self._each(Answer.batches, 1)

    def rows(self) -> AsyncIterator[dict[str, Any]]:
        """Rows as dicts; see `Answer.rows`."""
        return self._each(Answer.rows, ROWS_AT_ONCE)

    async def arrow(self) -> pa.Table:
        """All rows as an Arrow table; see `Answer.arrow`."""
        return await self._step(Answer.arrow)

    async def pandas(self, **options: Any) -> pd.DataFrame:
        """All rows as a pandas DataFrame; see `Answer.pandas`."""
        return await self._step(lambda answer: answer.pandas(**options))

    async def polars(self) -> pl.DataFrame:
        """All rows as a polars DataFrame; see `Answer.polars`."""
        return await self._step(Answer.polars)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self.rows()


class AsyncReplay(AsyncOpened[Replay]):
    """Trades and quotes in the order in which they happened; as `Replay`, its methods awaited.

    Parameters
    ----------
    threads, ask
        As of `AsyncOpened`.
    is_paced
        Whether its rows wait for their time, and so are handed out one by one.
    """

    def __init__(self, threads: Executor, ask: Callable[[], Replay], *, is_paced: bool) -> None:
        super().__init__(threads, ask)
        self._at_once = 1 if is_paced else ROWS_AT_ONCE
        self._cursor = ""

    @property
    def cursor(self) -> str:
        """Token of a place at or shortly before the last record: see `Replay.cursor`."""
        return self._cursor or self._known().cursor

    def records(self) -> AsyncIterator[Line]:
        """Rows as dicts; see `Replay.records`."""
        return self._told(Replay.records)

    def events(self) -> AsyncIterator[Line]:
        """Rows and sequence gaps; see `Replay.events`."""
        return self._told(Replay.events)

    async def _told(self, read: Callable[[Replay], Iterator[Line]]) -> AsyncIterator[Line]:
        # The replay is read ahead of those who take it, by a step: each event brings the place that it was at.
        def begin(replay: Replay) -> Iterator[tuple[Line, str]]:
            return ((event, replay.cursor) for event in read(replay))

        async for event, cursor in self._each(begin, self._at_once):
            self._cursor = cursor
            yield event

    def __aiter__(self) -> AsyncIterator[Line]:
        return self.records()


def _hand_on(done: Future[T], told: asyncio.Future[T]) -> None:
    """Hand what a thread has done to who waits for it; a task that was cancelled waits no longer."""
    if told.done():
        return
    error = done.exception()
    if error is None:
        told.set_result(done.result())
    else:
        told.set_exception(error)


def _nothing(_: object) -> None:
    """Ask, and do no more."""
