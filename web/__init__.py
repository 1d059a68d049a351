"""HTTP: Faust web views over the query engine, one module per resource.

`k2app.app` calls `check_bind` before it makes the Faust app, gives the app `options()` as its
`web_application_options` and a `Driver`, and then calls `register`. Nothing here works at import.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import faust
from faust.web.base import BlueprintManager

from k2app.metrics import Metrics
from k2app.operate.key_file import key_file
from k2app.settings import Settings
from web import docs, health, metrics_text, openapi, queries, replay
from web.access import Access
from web.addresses import check_bind
from web.dependencies import Dependencies
from web.driver import Driver, WebApp
from web.middlewares import add_headers, middlewares
from web.rates import Places, Rates
from web.readiness import Checks, Probe, ask
from web.starting import starting_site

__all__ = [
    "Checks",
    "Dependencies",
    "Driver",
    "Probe",
    "WebApp",
    "ask",
    "check_bind",
    "middlewares",
    "options",
    "register",
    "starting_site",
]

MAX_BODY_BYTES = 1_024
"""Bytes of a body that is read at all: nothing here takes one."""


def options(settings: Settings, metrics: Metrics) -> dict[str, Any]:
    """Arguments of the aiohttp application, for Faust's `web_application_options`."""
    access = Access(settings.web, key_file(settings), lambda: datetime.now(UTC))
    rates, places = Rates(settings.web.rate), Places(settings.web.concurrent)
    order = middlewares(metrics, access, rates, places, allowed_hosts=settings.web.allowed_hosts)
    return {"middlewares": order, "client_max_size": MAX_BODY_BYTES}


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Add every view to the app's web server, and leave out Faust's own pages."""
    # Faust would serve /, /router and /table, which show what the app is made of.
    app.web.blueprints = BlueprintManager([])
    app.web.web_app.on_response_prepare.append(add_headers)
    for resource in (queries, replay, health, metrics_text, openapi, docs):
        resource.register(app, dependencies)
