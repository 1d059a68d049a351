from __future__ import annotations

import pytest

from k2app.lake.catalog import create_tables, open_catalog
from k2app.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "a home")


@pytest.fixture
def catalog(settings):
    """Catalog with every table, in a folder of its own."""
    opened = open_catalog(settings)
    create_tables(opened, settings)
    yield opened
    opened.close()
