"""Retention in a running worker, and by hand beside it."""

import json

import pytest
from homes import TRADES, Home, counting, stopped, trades, wait_until

from k2app.lake.tables import Name


@pytest.fixture
def one(tmp_path):
    """A home whose trades have one partition."""
    home = Home(tmp_path / "home")
    (home.path / "exchanges.toml").write_text("[asx]\npartitions = 1\n")
    return home


def publish(home, batches):
    for n in batches:
        home.publish(trades(counting(2, 50, first=1 + 50 * n)))


def test_worker_trims_what_the_lake_has(one):
    """Nothing at or above the floor goes: the next worker reads on, and finds no hole. By default a week stays."""
    publish(one, range(3))
    one.drain()
    assert (0, 300) == one.log.bounds([TRADES])[TRADES, 0]
    with stopped(one.start(K2_LOG_KEEP_HOURS="0", K2_FLUSH_INTERVAL_S="0.2")) as worker:
        wait_until(lambda: one.log.bounds([TRADES])[TRADES, 0] == (200, 300), "the first two batches to go")
        publish(one, range(3, 5))
        wait_until(lambda: one.floors().get((TRADES, 0)) == 500, "the new ones in the lake")
        worker.terminate()
        printed, _ = worker.communicate(timeout=30)
        assert 0 == worker.returncode, printed
    (told,) = [json.loads(line) for line in printed.splitlines() if "log_trimmed" in line]
    assert (200, 1) == (told["records"], told["partitions"])
    publish(one, [5])
    assert "log_trimmed" not in one.drain()
    assert (200, 600) == one.log.bounds([TRADES])[TRADES, 0]
    assert 600 == len(one.rows(Name.TRADES))


def test_hole_of_a_trim_beyond_the_floor_still_stops_the_worker(one):
    """Retention never makes a hole; one that somebody else made is refused as before."""
    publish(one, range(3))
    one.drain(K2_LOG_KEEP_HOURS="0")
    publish(one, range(3, 5))
    one.log.trim(TRADES, 0, 400)
    status, printed = one.run("--drain", K2_LOG_KEEP_HOURS="0")
    assert 2 == status
    assert "starts at 400, the lake ends at 300: 100 offsets are gone from the log" in printed
