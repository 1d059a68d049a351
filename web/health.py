"""Whether the process runs, and whether it can do its work."""

from __future__ import annotations

from http import HTTPStatus

import faust
from aiohttp import web

from web.dependencies import Dependencies
from web.problems import problem
from web.views import add_view

LIVE = "/health/live"

READY = "/health/ready"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve both checks."""

    async def live(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.StreamResponse:
        reasons = await dependencies.readiness()
        if reasons:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "; ".join(reasons), reasons=reasons)
        return web.json_response({"status": "ready"})

    add_view(app, "live", LIVE, live)
    add_view(app, "ready", READY, ready)
