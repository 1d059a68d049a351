"""Tables remembered by the metadata file in force, while others commit."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from k2app.lake.catalog import create_tables, open_catalog
from k2app.lake.catalog import load as load_table
from k2app.lake.table_cache import TableCache
from k2app.lake.tables import Name
from k2app.settings import Settings
from tests.query_lake import append, gap, trade


@dataclass(frozen=True)
class Overtaken(TableCache):
    """A cache in which others commit between the first look at the catalog and the loading of a table."""

    commits: list = field(default_factory=list)

    def _locations(self):
        found = super()._locations()
        while self.commits:
            self.commits.pop()()
        return found


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def catalog(settings):
    opened = open_catalog(settings)
    create_tables(opened, settings)
    yield opened
    opened.close()


def newest(catalog, settings, name):
    return load_table(catalog, settings, Name(name)).metadata_location


def test_a_table_is_parsed_once_per_version(catalog, settings):
    """The same object until somebody commits; then the new version."""
    cache = TableCache(catalog, settings)
    first = cache.load(("trades", "gaps"))
    assert first["trades"] is cache.load(("trades",))["trades"]
    append(catalog, settings, "trades", [trade(0)])
    second = cache.load(("trades", "gaps"))
    assert newest(catalog, settings, "trades") == second["trades"].metadata_location
    assert first["gaps"] is second["gaps"]


def test_what_is_beside_a_table_is_never_older_than_it(catalog, settings):
    """Gaps are committed before their rows: with rows of a flush that came in between come its gaps."""
    cache = Overtaken(catalog, settings)
    cache.load(("trades", "gaps"))
    append(catalog, settings, "trades", [trade(0)])

    def flush():
        append(catalog, settings, "gaps", [gap("opened", 1, 1, 2)])
        append(catalog, settings, "trades", [trade(1)])

    cache.commits.append(flush)
    found = cache.load(("trades", "gaps"))
    assert newest(catalog, settings, "trades") == found["trades"].metadata_location
    assert newest(catalog, settings, "gaps") == found["gaps"].metadata_location
