"""The health checks of a worker that waits for what it stands on, and serves nothing else yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from k2app.heartbeat import Heartbeat
from k2app.settings import WebSettings
from web.health import LIVE, READY, liveness, readiness
from web.readiness import Checks

LATE_S = 5.0
"""Seconds that the event loop may be late: it has nothing to do but to wait."""


@asynccontextmanager
async def starting_site(at: WebSettings, reason: Callable[[], str]) -> AsyncIterator[None]:
    """Say that the worker lives and is not ready, and why, for as long as the block lasts.

    Raises
    ------
    OSError
        The address is taken.
    """
    heartbeat = Heartbeat()

    async def live(_request: web.Request) -> web.Response:
        return liveness(heartbeat, LATE_S)

    async def ready(_request: web.Request) -> web.Response:
        return readiness(Checks({"start": reason()}))

    application = web.Application()
    application.router.add_get(LIVE, live)
    application.router.add_get(READY, ready)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    heartbeat.start()
    try:
        await web.TCPSite(runner, at.host, at.port, reuse_port=at.reuse_port or None).start()
        yield
    finally:
        heartbeat.stop()
        await runner.cleanup()
