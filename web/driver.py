"""Faust's web driver on our connections, with our time to end and, if asked for, a shared port."""

from __future__ import annotations

from typing import Any

import faust
from aiohttp import web
from faust.web.drivers.aiohttp import Web

from k2app.logs import FAUST_LOGGER
from k2app.metrics import Metrics
from k2app.settings import WebSettings
from web.connections import Server


class Runner(web.AppRunner):
    """aiohttp's runner with our server."""

    def __init__(self, application: web.Application, settings: WebSettings, metrics: Metrics) -> None:
        super().__init__(application, access_log=None, shutdown_timeout=settings.stop_within_s)
        self._settings = settings
        self._metrics = metrics

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server(), self._settings, self._metrics)


class Driver(Web):
    """Faust's driver."""

    logger = FAUST_LOGGER

    def __init__(self, app: faust.App, settings: WebSettings, metrics: Metrics) -> None:
        super().__init__(app)
        self._settings = settings
        self._runner = Runner(self.web_app, settings, metrics)

    def _new_transport_tcp(self) -> Any:
        at = self._settings
        # None lets the system decide; False would be taken for a wish on some.
        return web.TCPSite(self._runner, at.host, at.port, reuse_port=at.reuse_port or None)


class WebApp(faust.App):
    """A Faust app that serves HTTP and nothing else: no consumer, no tables.

    Start and stop its `web`, not the app.
    """

    def __init__(self, name: str, settings: WebSettings, metrics: Metrics, **options: Any) -> None:
        super().__init__(
            name,
            autodiscover=False,
            web_bind=settings.host,
            web_host=settings.host,
            web_port=settings.port,
            **options,
        )
        self._web_settings = settings
        self._metrics = metrics

    def _new_web(self) -> Driver:
        return Driver(self, self._web_settings, self._metrics)
