"""Metrics in Prometheus' text format."""

from __future__ import annotations

import faust
from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web.dependencies import Dependencies
from web.views import add_view

PATH = "/metrics"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the metrics of this process."""

    async def get(_request: web.Request) -> web.StreamResponse:
        body = generate_latest(dependencies.metrics.registry)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})

    add_view(app, "metrics", PATH, get)
