"""`k2 rebuild-state` and `k2 trim`, and every example of the commands' help."""

import pytest
from commands import k2, k2_json
from homes import TRADES, counting, stopped, trades, wait_until

from k2app.lake.tables import Name
from k2app.market.sequence_states import States
from k2app.operate.rebuild import agree
from k2app.stream.log_records import records_from_pairs

CHANGELOG = f"k2-iceberg-writer-{TRADES}-sequences-changelog"


def states_of(home):
    status = k2_json(home, "status")
    return {part["state"] for part in status["partitions"] if part["topic"] == TRADES and part["end"]}


def test_states_are_compared_dropped_and_rebuilt(home):
    """What was stored agrees with the lake; it is dropped all the same, and the next rows are judged alike."""
    home.publish(trades(counting(3, 20)))
    home.drain()
    compared = k2(home, "rebuild-state", "--dry-run")
    assert compared.count("agrees") == len(home.floors()) > 0
    assert "nothing was changed (dry run)" in compared
    assert {"current"} == states_of(home)
    rebuilt = k2(home, "rebuild-state")
    assert "dropped; the next worker rebuilds them from the lake" in rebuilt
    assert {"none"} == states_of(home)
    assert [] == list((home.path / "state").rglob(f"{TRADES}-sequences-*.db"))
    home.publish(trades(counting(3, 1, first=21)))
    home.drain()
    assert {"ok"} == {row["sequence_flag"] for row in home.rows(Name.TRADES) if row["sequence"] == 21}
    assert "agrees" in k2(home, "rebuild-state", "--dry-run")


def test_wrong_states_are_found(home):
    """States that were changed behind the worker's back are told by their digest."""
    home.publish(trades(counting(1, 20)))
    home.drain()
    ((_, partition),) = home.floors()
    batch = home.log.read(CHANGELOG, partition, 0, max_rows=100, max_bytes=10**9)
    pairs = [(batch.key(i), batch.value(i)) for i in range(len(batch))]
    spoilt = [(key, value.replace(b",20,", b",19,") if b"|" in key else value) for key, value in pairs]
    assert spoilt != pairs
    home.log.append(CHANGELOG, [records_from_pairs(partition, spoilt)])
    assert "unusable" in k2(home, "rebuild-state", "--dry-run")


def test_one_partition_of_one_topic(home):
    """Only what was asked for is dropped; what is not there is refused."""
    home.publish(trades(counting(20, 2)))
    home.drain()
    assert 2 == len(home.floors()), "both partitions have rows"
    k2(home, "rebuild-state", "--topic", TRADES, "--partition", "0")
    status = k2_json(home, "status")
    assert ["none", "current"] == [p["state"] for p in status["partitions"] if p["topic"] == TRADES]
    assert "is no topic with sequence states" in k2(home, "rebuild-state", "--topic", "x", status=2)
    assert "has a partition 7" in k2(home, "rebuild-state", "--partition", "7", status=2)


def test_beside_a_worker_states_are_left_alone(home):
    """The worker's states are not taken from under it."""
    home.publish(trades(counting(1, 10)))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.2")) as worker:
        wait_until(lambda: sum(home.floors().values()) == 10, "the first flush")
        said = k2(home, "rebuild-state", status=2)
        assert f"another worker (process {worker.pid}) already consumes" in said


def test_trim_by_hand(home):
    """A dry run shows what would go; the real one lets it go, and never what the lake does not have."""
    for first in (1, 11, 21):
        home.publish(trades(counting(1, 10, first=first)))
    home.drain()
    home.publish(trades(counting(1, 10, first=31)))
    ((_, partition),) = home.floors()
    shown = k2(home, "trim", "--dry-run", "--keep-hours", "0")
    assert "20 records" in shown
    assert "nothing was changed (dry run)" in shown
    assert (0, 40) == home.log.bounds([TRADES])[TRADES, partition]
    assert "20 records" in k2(home, "trim", "--keep-hours", "0")
    assert (20, 40) == home.log.bounds([TRADES])[TRADES, partition]
    assert "nothing to trim" in k2(home, "trim", "--keep-hours", "0")
    home.drain()
    assert 40 == len(home.rows(Name.TRADES))


# --- comparing states

MADE = {"100|A": [1, 5, 0, 0, [0] * 12, [], []], "200|A": [1, 7, 0, 0, [0] * 12, [], []]}


def states(primitives):
    width = len(States.empty().counts[0:].T)
    return States.from_primitives({k: [*v[:4], [0] * width, *v[5:]] for k, v in primitives.items()})


@pytest.mark.parametrize(
    ("stored", "keep_days", "agrees"),
    [
        (MADE, 30, True),
        ({"200|A": MADE["200|A"]}, 30, True),
        ({"200|A": MADE["200|A"]}, 100, False),
        ({"100|A": MADE["100|A"]}, 30, False),
        (MADE | {"200|A": [1, 6, *MADE["200|A"][2:]]}, 30, False),
        (MADE | {"200|B": MADE["200|A"]}, 30, False),
    ],
    ids=["the same", "evicted", "too young to be evicted", "newest missing", "another value", "one too many"],
)
def test_stored_states_agree_with_the_lake(stored, keep_days, agrees):
    """Equal but for what may have been evicted."""
    assert agrees == agree(states(stored), states(MADE), keep_days)
