"""Running the worker: until a signal, until the log is drained, or until it fails."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from faust.types import TP

from k2app.app import K2App
from k2app.blocking import BlockingCalls
from k2app.errors import OperatorError
from k2app.ingest.service import Ingest
from k2app.logs import get
from k2app.settings import WebSettings

logger = get(__name__)

DRAIN_POLL_S = 0.05
"""Seconds between looks at how far a drain has come."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that end a worker: flush, commit, and end."""


class Stop:
    """Whether a signal told the worker to end, and which."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.signal: signal.Signals | None = None

    def by(self, number: signal.Signals) -> None:
        """End because of a signal; the first one counts."""
        self.signal = self.signal or number
        self.event.set()


async def run(app: K2App, *, drain: bool = False, stop: Stop | None = None) -> signal.Signals | None:
    """Run a worker.

    Parameters
    ----------
    app
        A new app.
    drain
        Read to the end that the log has at the start, commit, and end.
    stop
        Who takes note of signals; None: the signals are waited for here.

    Returns
    -------
    Signals or None
        The signal that ended it; None: it was done.

    Raises
    ------
    BaseException
        What the worker failed with.
    """
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    app.on_failure = fail
    asyncio.get_running_loop().set_default_executor(BlockingCalls())
    # Faust collects garbage once per table at every assignment and stop; what was imported need not be looked at.
    gc.freeze()
    with stop_signal() if stop is None else nullcontext(stop) as told:
        await _until_first(app, failed, told.event, drain=drain)
    return told.signal


async def _until_first(
    app: K2App, failed: asyncio.Future[None], stopped: asyncio.Event, *, drain: bool
) -> None:
    serving: asyncio.Future[Any] = asyncio.ensure_future(_serve(app, drain=drain))
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stopped.wait())
    # A service of Faust's own that dies marks the app as crashed, and stops nothing.
    crashed: asyncio.Future[Any] = asyncio.ensure_future(app._crashed.wait())  # noqa: SLF001 - no public way
    try:
        await asyncio.wait((serving, stopping, crashed, failed), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await app.stop()
        stopping.cancel()
        crashed.cancel()
        # A drain would wait for what nobody reads any more.
        serving.cancel()
        results: tuple[Any] = await asyncio.gather(serving, return_exceptions=True)
    failure = failed.exception() if failed.done() else app.crash_reason
    if failure is not None:
        raise failure
    # That it was cancelled is no failure.
    if isinstance(results[0], Exception):
        raise results[0]


async def _serve(app: K2App, *, drain: bool) -> None:
    with port_ours(app.settings.web):
        await app.start()
    if drain:
        await _drain(app)
    else:
        await app.wait_until_stopped()


@contextmanager
def port_ours(at: WebSettings) -> Iterator[None]:
    """Say who is in the way, if the port cannot be had."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OperatorError(
            f"{at.host}:{at.port} is taken by another program: set K2_WEB_PORT, or K2_WEB_ENABLED=false"
        ) from error


async def _drain(app: K2App) -> None:
    """Wait until everything that the log held at the start is in the lake."""
    await _until(lambda: all(ingest.reading for ingest in app.ingests.values()))
    ends = await app.log_ends()
    logger.info("draining", records_in_log=sum(ends.values()))
    await asyncio.gather(*(_drain_one(app, ingest, ends) for ingest in app.ingests.values()))
    logger.info("drained")


async def _drain_one(app: K2App, ingest: Ingest, ends: Mapping[TP, int]) -> None:
    def ours() -> Mapping[TP, int]:
        # What a rebalance has given to another worker is that one's to drain.
        return {tp: end for tp, end in ends.items() if tp in app.consumer.assignment()}

    while not (app.recovered and ingest.drained(ours())):
        await _until(lambda: app.recovered and ingest.read_past(ours()))
        await ingest.flush()
        # A flush that has nothing to do does not let others go on.
        await asyncio.sleep(0)


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - the conditions span several objects, none has an event
        await asyncio.sleep(DRAIN_POLL_S)


@contextmanager
def stop_signal() -> Iterator[Stop]:
    """Take note of the signals that end the process, instead of dying of them."""
    stop, loop = Stop(), asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.by, number)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
