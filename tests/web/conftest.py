"""A Faust app's own web server on a free port, over a real lake."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.metrics import Metrics
from k2app.query.engine import QueryEngine
from k2app.settings import QuerySettings, Settings, WebSettings
from tests.query_lake import append
from tests.web.live import free_port
from web import Checks, Dependencies, WebApp, options, register


class Site:
    """A running server, and what it was made of."""

    def __init__(self, base, client, engine, metrics, parts):
        self.base, self.client, self.engine, self.metrics, self.parts = (
            base,
            client,
            engine,
            metrics,
            parts,
        )

    async def get(self, path, *, method="GET", **options):
        """Status, headers and body (JSON where it is)."""
        async with self.client.request(method, self.base + path, **options) as response:
            is_json = "json" in response.content_type and method != "HEAD"
            return (
                response.status,
                response.headers,
                await (response.json(content_type=None) if is_json else response.text()),
            )

    def count(self, name, **labels):
        """Value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def catalog(settings):
    opened = open_catalog(settings)
    create_tables(opened, settings)
    yield opened
    opened.close()


@pytest.fixture
def put(catalog, settings):
    """Append rows to a table; returns the snapshot id."""
    return partial(append, catalog, settings)


@pytest.fixture
def serve(catalog, settings, tmp_path):
    """Serve with given limits."""

    @asynccontextmanager
    async def started(web=None, **limits):
        at = {"host": "127.0.0.1", "port": free_port(), **(web or {})}
        limited = settings.model_copy(update={"query": QuerySettings(**limits), "web": WebSettings(**at)})
        engine = QueryEngine(limited, catalog, exchanges.load())
        metrics, parts = Metrics(CollectorRegistry()), {}

        async def readiness():
            return Checks(dict(parts))

        app = WebApp(
            "k2-web-test",
            limited.web,
            metrics,
            datadir=tmp_path / "faust",
            web_application_options=options(limited, metrics),
        )
        register(app, Dependencies(engine, metrics, readiness, limited.web.idle_s))
        async with app.web, aiohttp.ClientSession() as client:
            host, port = app.web._runner.addresses[0][:2]
            yield Site(f"http://{host}:{port}", client, engine, metrics, parts)
        engine.close()

    return started


@pytest.fixture
async def site(serve):
    async with serve() as running:
        yield running
