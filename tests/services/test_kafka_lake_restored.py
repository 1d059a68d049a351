"""A lake that is not the one that Kafka's offsets belong to: an older copy of it, or that of another cluster."""

import sqlite3
from contextlib import closing

import pytest

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import counting, trades
from tests.services import servers
from tests.services.kafka_homes import MarketHome
from tests.services.storm_lakes import differences, undisturbed

SYMBOLS, EACH = 6, 40


def publish_part(home: MarketHome, part: int) -> None:
    """A part of a market with gaps that close later, copies and broken messages."""
    first = 1 + EACH * part
    numbers = counting(SYMBOLS, EACH, first=first)
    missing = {("S1", first + 5), ("S2", first + 6), ("S3", first + 7)}
    home.publish(trades([n for n in numbers if n not in missing]))
    home.publish_raw([(b"S1", b"not avro"), (b"S2", None)], partition=part % home.partitions)
    home.publish(trades([("S1", max(first - 35, 1)), ("S0", None), ("S2", first + 6)]))


def copy_catalog(home: MarketHome, source: str, target: str) -> None:
    """Copy the lake's catalog as a backup would."""
    for file in home.path.glob(f"{target}*"):
        file.unlink()
    with (
        closing(sqlite3.connect(home.path / source)) as one,
        closing(sqlite3.connect(home.path / target)) as other,
    ):
        one.backup(other)


@pytest.mark.parametrize("before", [0, 2], ids=["of-an-empty-lake", "of-some-commits-ago"])
def test_rolled_back_lake_is_filled_again_from_its_floor(before, home, tmp_path):
    """Committed offsets and states are ahead of it: what follows its floor is read again, without gap or copy."""
    _ = home.opened
    for part in range(before):
        publish_part(home, part)
        home.drain()
    copy_catalog(home, "catalog.db", "catalog.backup")
    was = home.committed_rows()
    for part in range(before, before + 2):
        publish_part(home, part)
        home.drain()
    reached = home.committed_rows()
    copy_catalog(home, "catalog.backup", "catalog.db")
    assert was == home.committed_rows() < reached <= sum(home.committed().values())

    publish_part(home, before + 2)
    _, printed = home.run("--drain")
    if before:
        # The states know of rows that this lake does not hold.
        assert '"stored": "wrong"' in printed
    publish_part(home, before + 3)
    home.drain()
    with closing(undisturbed(home, tmp_path / "undisturbed")) as other:
        assert [] == differences(home, other)
    assert [] == completeness(home.table(Name.TRADES))


def test_lake_of_another_cluster_is_refused(home, tmp_path, registry_url):
    """Offsets mean nothing on another cluster: the worker stops; told to go on, it ingests that one as well."""
    publish_part(home, 0)
    home.drain()
    first, floors = home.rows(Name.TRADES), home.floors()
    with servers.kafka(tmp_path / "another") as url:
        given = {"K2_LOG_URL": url, "K2_REGISTRY_URL": registry_url} | home.beside("moved")
        del given["K2_HOME"]
        moved = MarketHome(tmp_path / "moved", home.exchange, partitions=home.partitions, **given)
        with closing(moved):
            publish_part(moved, 0)
            publish_part(moved, 1)
            status, printed = moved.run("--drain")
            assert 2 == status, printed
            assert f"the lake holds {home.topic} from log {home.opened.log_id}" in printed
            assert f"this is log {moved.opened.log_id}" in printed
            assert "K2_ON_NEW_LOG=continue" in printed
            assert "Traceback" not in printed
            assert first == home.rows(Name.TRADES)

            moved.drain(K2_ON_NEW_LOG="continue")
            assert len(first) < len(home.rows(Name.TRADES))
            rows = home.table(Name.TRADES).scan().to_arrow()
            by_log = {log: rows["log_id"].to_pylist().count(log) for log in set(rows["log_id"].to_pylist())}
            assert len(first) == by_log[home.opened.log_id]
            publish_part(moved, 2)
            # Accepted once, it is known: nobody has to say it again.
            moved.drain()
            assert [] == completeness(home.table(Name.TRADES))
    # The first cluster is known as well: going back to it is no surprise, and it goes on where it was.
    publish_part(home, 1)
    home.drain()
    assert floors.keys() <= home.floors().keys()
    assert [] == completeness(home.table(Name.TRADES))
