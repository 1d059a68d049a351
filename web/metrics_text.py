"""Metrics in Prometheus' text format."""

from __future__ import annotations

import faust
from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from web.dependencies import Dependencies
from web.views import add_view

PATH = "/metrics"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the metrics of this process."""

    async def get(_request: web.Request) -> web.StreamResponse:
        return response(dependencies.metrics.registry)

    add_view(app, "metrics", PATH, get)


def response(registry: CollectorRegistry) -> web.Response:
    """What a registry tells, as it is now."""
    return web.Response(body=generate_latest(registry), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})
