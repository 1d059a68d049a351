"""HTTP: Faust web views over the query engine, one module per resource.

`k2app.app` calls `check_bind` before it makes the Faust app, gives the app `options()` as its
`web_application_options`, and then calls `register`. Nothing here works at import.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import faust
from faust.web.base import BlueprintManager

from k2app.errors import OperatorError
from k2app.metrics import Metrics
from k2app.settings import Settings
from web import gaps, health, metrics_text, quotes, stats, summary, symbols, trades
from web.dependencies import Dependencies
from web.middlewares import middlewares

__all__ = ["Dependencies", "check_bind", "middlewares", "options", "register"]

MAX_BODY_BYTES = 1_024
"""Bytes of a body that is read at all: nothing here takes one."""


def options(metrics: Metrics) -> dict[str, Any]:
    """Arguments of the aiohttp application, for Faust's `web_application_options`."""
    return {"middlewares": middlewares(metrics), "client_max_size": MAX_BODY_BYTES}


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Add every view to the app's web server, and leave out Faust's own pages."""
    # Faust would serve /, /router and /table, which show what the app is made of.
    app.web.blueprints = BlueprintManager([])
    for resource in (trades, quotes, summary, gaps, symbols, stats, health, metrics_text):
        resource.register(app, dependencies)


def check_bind(settings: Settings) -> None:
    """Check that only this machine can reach the server.

    Raises
    ------
    OperatorError
        The address is open to others, and there are no API keys that would keep them out.
    """
    host = settings.web.host
    if not _is_loopback(host):
        raise OperatorError(
            f"K2_WEB_HOST={host} is open to other machines, and there are no API keys: listen on 127.0.0.1, and put "
            "a proxy that asks for credentials in front of it"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name may point anywhere, now or later.
        return False
