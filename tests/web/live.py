"""A server in a thread over a real lake, for tests that only ask; one per module."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager

import httpx
from prometheus_client import CollectorRegistry

from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.metrics import Metrics
from k2app.query.engine import QueryEngine
from k2app.settings import QuerySettings, Settings, WebSettings
from tests.query_lake import append, company, gap, quote, trade
from web import Checks, Dependencies, WebApp, options, register

START_S = 30.0
"""Seconds after which a server that does not start or end has failed."""


def free_port():
    """A port of this machine that nobody listens on (Faust takes no 0)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Live:
    """A running server."""

    def __init__(self, settings, catalog):
        self.settings = settings
        self.port = settings.web.port
        self.base = f"http://127.0.0.1:{self.port}"
        self.engine = QueryEngine(settings, catalog, exchanges.load())
        self.metrics = Metrics(CollectorRegistry())
        self._running = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def get(self, path, **options):
        """Answer to a GET."""
        return self.client.get(path, **options)

    def count(self, name, **labels):
        """Value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def routes(self):
        """Path and method of everything served."""
        return {(route.resource.canonical, route.method) for route in self._app.web.web_app.router.routes()}

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._stop = asyncio.Event()
        self._app = WebApp(
            "k2-live-test",
            self.settings.web,
            self.metrics,
            datadir=self.settings.home / "faust",
            web_application_options=options(self.settings, self.metrics),
        )
        register(self._app, Dependencies(self.engine, self.metrics, _ready, self.settings.web.idle_s))
        async with self._app.web:
            self._running.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        assert self._running.wait(START_S)
        self.client = httpx.Client(base_url=self.base)
        return self

    def __exit__(self, *_):
        self.client.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)
        self.engine.close()
        assert not self._thread.is_alive()


async def _ready():
    return Checks({})


@contextmanager
def small_lake(home):
    """Settings and catalog of a lake with a few rows of everything."""
    settings = Settings(home=home)
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    append(catalog, settings, "reference_data", [company(0, "BHP", "BHP Group")])
    append(catalog, settings, "gaps", [gap("opened", 0, 1, 2)])
    append(catalog, settings, "trades", [trade(n, sequence=n + 3, price="1.5") for n in range(5)])
    append(catalog, settings, "quotes", [quote(n, bid=None) for n in range(3)])
    yield settings, catalog
    catalog.close()


def live(lake, web=None, **limits):
    """A server over a lake, with given limits."""
    settings, catalog = lake
    at = WebSettings(**{"host": "127.0.0.1", "port": free_port(), **(web or {})})
    return Live(settings.model_copy(update={"query": QuerySettings(**limits), "web": at}), catalog)
