"""The health checks and metrics of a worker that waits for what it stands on, and serves nothing else yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from k2app.heartbeat import Heartbeat
from k2app.settings import WebSettings
from web import metrics_text
from web.health import LIVE, READY, liveness, readiness
from web.middlewares import add_headers
from web.readiness import Checks

LATE_S = 5.0
"""Seconds that the event loop may be late: it has nothing to do but to wait."""


@asynccontextmanager
async def starting_site(
    at: WebSettings, options: Mapping[str, Any], told: CollectorRegistry, reason: Callable[[], str]
) -> AsyncIterator[None]:
    """Say that the worker lives and is not ready, and why, for as long as the block lasts.

    Parameters
    ----------
    options
        Arguments of the aiohttp application, those of the worker's own: who is let in does not change when it is ready.
    told
        What `/metrics` tells.
    reason
        What is waited for, as of now.

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

    async def metrics(_request: web.Request) -> web.Response:
        return metrics_text.response(told)

    application = web.Application(**options)
    application.on_response_prepare.append(add_headers)
    application.router.add_get(LIVE, live)
    application.router.add_get(READY, ready)
    application.router.add_get(metrics_text.PATH, metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    heartbeat.start()
    try:
        await web.TCPSite(runner, at.host, at.port, reuse_port=at.reuse_port or None).start()
        yield
    finally:
        heartbeat.stop()
        await runner.cleanup()
