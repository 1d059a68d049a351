"""Several workers on one lake: partitions move between them, and nothing is lost or there twice."""

import time
from collections.abc import Callable

import pytest

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import WORKER_S, counting, trades, wait_until
from tests.services.kafka_homes import MarketHome, new_exchange

FLUSH = {"K2_FLUSH_MAX_ROWS": "20000", "K2_FLUSH_INTERVAL_S": "0.3"}

PARTITIONS = 4

SYMBOLS, EACH = 40, 300
"""Rows of one round."""

BACK_S = 15.0
"""Deadline of a worker's return: below the session timeout, which would have to pass otherwise."""

MOVE_S = 90.0
"""Deadline of a rebalance after a worker that is gone: above the session timeout."""


def publish_round(home: MarketHome, nth: int) -> None:
    """Go on with every symbol: a gap, its late part a round later, a duplicate."""
    numbers = counting(SYMBOLS, EACH, first=1 + nth * EACH)
    late = [(f"S{s}", (nth - 1) * EACH + 7) for s in range(SYMBOLS)] if nth else []
    for at in range(0, len(numbers), 1_000):
        home.publish(trades([n for n in numbers[at : at + 1_000] if n[1] % EACH != 7]))
    home.publish(trades([*late, ("S1", 2 + nth)]))


def publish_until(home: MarketHome, nth: int, holds, what: str) -> int:
    """Publish round after round, from the `nth` on, until something holds; returns the number of the next one."""
    deadline = time.monotonic() + WORKER_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WORKER_S} s: {what}"
        publish_round(home, nth)
        nth += 1
        committed = all_committed(home)
        wait_until(lambda committed=committed: committed() or holds(), "the round in the lake", MOVE_S)
    return nth


def all_committed(home: MarketHome) -> Callable[[], bool]:
    """Whether the lake has what is on the log by now."""
    end = sum(home.ends().values())
    return lambda: home.committed_rows() == end


@pytest.fixture
def shared(tmp_path, kafka_url, registry_url):
    """A home whose topics have partitions for several workers."""
    home = MarketHome(
        tmp_path / "home",
        new_exchange(),
        partitions=PARTITIONS,
        K2_LOG_URL=kafka_url,
        K2_REGISTRY_URL=registry_url,
        **FLUSH,
    )
    yield home
    home.close()


def embedded_of(shared: MarketHome, path, rounds: int) -> dict:
    """The same rounds through one worker on the embedded log."""
    home = MarketHome(path, shared.exchange, partitions=PARTITIONS, **FLUSH)
    for nth in range(rounds):
        publish_round(home, nth)
    home.drain()
    return home.everything()


def test_worker_joins_and_leaves(shared, tmp_path):
    """A second worker takes partitions over and gives them back, by SIGTERM; rows flow all the while."""
    with shared.worker() as first:
        rounds = publish_until(shared, 0, lambda: first.flushes() > 0, "the first worker at work")
        with shared.worker("second") as second:
            rounds = publish_until(shared, rounds, lambda: second.flushes() > 0, "the second worker at work")
            before = first.flushes()
            rounds = publish_until(shared, rounds, lambda: first.flushes() > before, "the first beside it")
            publish_round(shared, rounds)
            second.stop()
        publish_round(shared, rounds + 1)
        wait_until(all_committed(shared), "everything in the lake", MOVE_S)
        first.stop()
    assert embedded_of(shared, tmp_path / "embedded", rounds + 2) == shared.everything()
    assert [] == completeness(shared.table(Name.TRADES))


def test_worker_is_killed(shared, tmp_path):
    """One of two workers is killed while it writes: the other takes its partitions from where the lake ends."""
    with shared.worker() as first, shared.worker("second", K2_FAULT="main-committed:2") as second:
        rounds = publish_until(shared, 0, second.ended, "the second worker killed in its second flush")
        publish_round(shared, rounds)
        wait_until(all_committed(shared), "everything in the lake", MOVE_S)
        first.stop()
    assert embedded_of(shared, tmp_path / "embedded", rounds + 1) == shared.everything()
    assert [] == completeness(shared.table(Name.TRADES))


def test_killed_worker_comes_back(shared, tmp_path):
    """A worker that is started again after a crash has its partitions back before they pass to others."""
    with shared.worker() as first:
        with shared.worker("second", K2_FAULT="states-written") as second:
            rounds = publish_until(shared, 0, second.ended, "the second worker killed in its first flush")
        publish_round(shared, rounds)
        with shared.worker("second") as second:
            wait_until(lambda: second.flushes() > 0, "the second worker at work again", BACK_S)
            wait_until(all_committed(shared), "everything in the lake")
            second.stop()
        first.stop()
    assert embedded_of(shared, tmp_path / "embedded", rounds + 1) == shared.everything()
