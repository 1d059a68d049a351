"""Starting a worker: what it stands on may not answer yet, and is waited for.

Machines start in any order. While the worker waits, it says so: in its log, and to health checks.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import web
from k2app.app import Prepared, create_app, prepare
from k2app.blocking import STUCK
from k2app.errors import TransientError
from k2app.ingest.waiting import Waiting
from k2app.settings import Settings
from k2app.start_metrics import START, start_metrics
from k2app.worker import Stop, port_ours, run, stop_signal

QUIET_S = 5.0
"""Seconds that opening everything may take before it is worth telling: it takes tenths, on a busy machine seconds."""

FIRST_PAUSE_S = 0.5
"""Seconds before the second attempt; doubles with each."""

LONGEST_PAUSE_S = 10.0
"""Most seconds between two attempts: so much later it is seen that what was away is back."""

T = TypeVar("T")


async def start(settings: Settings, *, drain: bool = False) -> signal.Signals | None:
    """Wait for what the worker stands on, then run it; see `k2app.worker.run`.

    Raises
    ------
    TransientError
        Something did not answer within `K2_START_WITHIN_S`.
    OperatorError
        The configuration does not fit what is there: nothing that waiting could mend.
    """
    with stop_signal() as stop:
        prepared = await Start(settings, stop, partial(prepare, settings)).wait()
        if prepared is None:
            return stop.signal
        return await run(create_app(settings, prepared), drain=drain, stop=stop)


class Start:
    """The wait for what a worker stands on.

    Parameters
    ----------
    stop
        Ends the wait at once.
    prepare
        Opens everything, blocking; raises TransientError for what may answer later.
    """

    def __init__(self, settings: Settings, stop: Stop, prepare: Callable[[], Prepared]) -> None:
        self._settings = settings
        self._stop = stop
        self._prepare = prepare
        self._begun_s = time.monotonic()
        self._reason = "the log, the schema registry or the lake has not answered yet"
        self._waiting = Waiting(part=START)
        self._site = AsyncExitStack()
        self._told = False

    async def wait(self) -> Prepared | None:
        """Try until everything answers; None: a signal came first."""
        async with self._site:
            pause_s = FIRST_PAUSE_S
            while True:
                try:
                    prepared = await self._attempt()
                except TransientError as error:
                    if self._left_s <= 0:
                        raise
                    self._reason = str(error)
                    await self._tell()
                else:
                    self._waiting.look(None, time.monotonic())
                    return prepared
                if await self._stopped_within(min(pause_s, max(self._left_s, 0))):
                    return None
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @property
    def _left_s(self) -> float:
        return self._settings.start.within_s - (time.monotonic() - self._begun_s)

    async def _attempt(self) -> Prepared | None:
        """One attempt; None: a signal came first, and nobody waits for the attempt any more."""
        trying = asyncio.wrap_future(on_thread(self._prepare))
        stopping = asyncio.ensure_future(self._stop.event.wait())
        try:
            while not trying.done() and not stopping.done():
                # At least one look, and never beyond the end of the time given.
                look_s = QUIET_S if self._left_s <= 0 else min(QUIET_S, self._left_s)
                await asyncio.wait((trying, stopping), timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
                if not trying.done() and not stopping.done():
                    await self._tell()
                    self._give_up_in_time()
            return await trying if trying.done() else None
        finally:
            stopping.cancel()

    def _give_up_in_time(self) -> None:
        within_s = self._settings.start.within_s
        if 0 < within_s <= time.monotonic() - self._begun_s:
            raise TransientError(f"no start within {within_s:g} s (K2_START_WITHIN_S): {self._reason}")

    async def _stopped_within(self, pause_s: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.event.wait(), pause_s)
        except TimeoutError:
            return False
        return True

    async def _tell(self) -> None:
        """Say what is waited for: in the log, now and then, to health checks, and to Prometheus."""
        self._waiting.look(self._reason, time.monotonic())
        if self._settings.web.enabled and not self._told:
            self._told = True
            metrics, told = start_metrics(self._settings.memory)
            options = web.options(self._settings, metrics)
            site = web.starting_site(self._settings.web, options, told, lambda: self._reason)
            with port_ours(self._settings.web):
                await self._site.enter_async_context(site)


def on_thread(work: Callable[[], T]) -> Future[T]:
    """Do something on a thread of its own, which the end of the program does not wait for."""
    future = Future[T]()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            future.set_exception(error)

    threading.Thread(target=do, name=f"{STUCK}-start", daemon=True).start()
    return future
