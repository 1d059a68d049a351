"""An old copy of the catalog put back: the warehouse is newer, and so are states and committed offsets."""

import sqlite3
from contextlib import closing

import pytest

from tests.pipeline.homes import Home, counting, trades
from tests.storm.comparison import differences
from tests.storm.storm import committed, undisturbed


def publish_part(home: Home, part: int) -> None:
    """A part of a market with gaps that close later, copies and broken messages."""
    first = 1 + 40 * part
    numbers = counting(symbols=4, each=40, first=first)
    missing = {("S1", first + 5), ("S2", first + 6), ("S3", first + 7)}
    home.publish(trades([n for n in numbers if n not in missing]))
    home.publish_raw([(b"S1", b"not avro"), (b"S2", None)], partition=part % 2)
    home.publish(trades([("S1", max(first - 35, 1)), ("S0", None), ("S2", first + 6)]))


def save_catalog(home: Home) -> None:
    """Copy the catalog as a backup would."""
    with (
        closing(sqlite3.connect(home.path / "catalog.db")) as source,
        closing(sqlite3.connect(home.path / "catalog.backup")) as target,
    ):
        source.backup(target)


def put_catalog_back(home: Home) -> None:
    """Replace the catalog by its copy."""
    for file in home.path.glob("catalog.db*"):
        file.unlink()
    with (
        closing(sqlite3.connect(home.path / "catalog.backup")) as source,
        closing(sqlite3.connect(home.path / "catalog.db")) as target,
    ):
        source.backup(target)


@pytest.mark.parametrize("before", [0, 2], ids=["of-an-empty-lake", "of-some-commits-ago"])
def test_offsets_are_read_again_and_are_in_the_lake_once(tmp_path, before):
    """The floor is that of the old catalog: its rows stay, what followed is read from the log once more."""
    home = Home(tmp_path / "home")
    _ = home.log
    for part in range(before):
        publish_part(home, part)
        home.drain()
    save_catalog(home)
    was = committed(home)
    for part in range(before, before + 2):
        publish_part(home, part)
        home.drain()
    reached = committed(home)
    put_catalog_back(home)
    assert was == committed(home) < reached

    publish_part(home, before + 2)
    printed = home.drain()
    if before:
        # The states know of rows that this lake does not hold.
        assert '"stored": "wrong"' in printed
    publish_part(home, before + 3)
    home.drain()

    other = undisturbed(home, tmp_path / "undisturbed")
    other.drain()
    assert [] == differences(home, other)
