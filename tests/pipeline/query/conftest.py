from __future__ import annotations

from functools import partial

import pytest

from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.settings import Settings
from tests.query_lake import append


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "a home [1]")


@pytest.fixture
def catalog(settings):
    """Catalog with every table, in a folder of its own."""
    opened = open_catalog(settings)
    create_tables(opened, settings)
    yield opened
    opened.close()


@pytest.fixture
def put(catalog, settings):
    """Append rows to a table; returns the snapshot id."""
    return partial(append, catalog, settings)


@pytest.fixture
def engine(catalog, settings):
    opened = QueryEngine(settings, catalog, exchanges.load())
    yield opened
    opened.close()
