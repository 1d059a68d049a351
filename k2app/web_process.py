"""Running a process that only answers queries: until a signal; then what was asked is answered first."""

from __future__ import annotations

import asyncio
import errno
import signal

from k2app import tracing
from k2app.app import K2Web
from k2app.blocking import BlockingCalls
from k2app.errors import OperatorError
from k2app.logs import get
from k2app.settings import WebSettings
from k2app.worker import stop_signal

logger = get(__name__)


async def run_web(app: K2Web, at: WebSettings) -> signal.Signals | None:
    """Serve until a signal.

    Parameters
    ----------
    app
        A new app.
    at
        Where it serves.

    Returns
    -------
    Signals or None
        The signal that ended it.

    Raises
    ------
    OperatorError
        The port is taken.
    """
    asyncio.get_running_loop().set_default_executor(BlockingCalls())
    with stop_signal() as stop:
        try:
            await _start(app, at)
            app.watch.start()
            await stop.event.wait()
            logger.info("stopping", requests_end_within_s=at.stop_within_s)
        finally:
            await app.watch.stop()
            await app.web.stop()
            await asyncio.to_thread(app.engine.close)
            await asyncio.to_thread(tracing.stop)
    return stop.signal


async def _start(app: K2Web, at: WebSettings) -> None:
    try:
        await app.web.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OperatorError(
            f"{at.host}:{at.port} is taken by another program: give another --port, or --reuse-port to every process"
        ) from error
    logger.info("serving", host=at.host, port=at.port)
