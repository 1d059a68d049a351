"""Three brokers, each killed in its turn while rows are produced and ingested: every offset is in the lake once."""

import signal
import threading
from contextlib import closing, contextmanager

import pytest

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import counting, trades, wait_until
from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.three_brokers import BROKERS, three_brokers

MOVE_S = 120.0
"""Deadline of what follows the loss of a broker: far above the seconds of an election and a session."""

ROWS = 300
"""Rows of one publication: 100 numbers of three symbols."""


@pytest.fixture(scope="module")
def brokers(tmp_path_factory):
    with three_brokers(tmp_path_factory.mktemp("brokers")) as found:
        yield found


@pytest.fixture
def market(brokers, tmp_path, registry_url):
    """A home on the three brokers."""
    home = MarketHome(
        tmp_path / "home",
        new_exchange(),
        partitions=3,
        K2_LOG_URL=brokers.url,
        K2_REGISTRY_URL=registry_url,
        K2_FLUSH_INTERVAL_S="0.2",
    )
    with closing(home):
        yield home


class Producing:
    """Publishes rows without a pause until it is told to end."""

    def __init__(self, home: MarketHome) -> None:
        self.sent = 0
        self.failure: BaseException | None = None
        self._home = home
        self._ending = threading.Event()

    def run(self) -> None:
        try:
            while not self._ending.is_set():
                done = self.sent // 3
                self._home.publish(trades(counting(3, ROWS // 3, first=done + 1)))
                self.sent += ROWS
        except BaseException as error:  # noqa: BLE001 - told by whoever ends it
            self.failure = error

    def end(self) -> None:
        self._ending.set()


@contextmanager
def producing(home: MarketHome):
    """Produce beside, until the end of the block."""
    _ = home.publisher, home.outlet()
    found = Producing(home)
    thread = threading.Thread(target=found.run)
    thread.start()
    try:
        yield found
    finally:
        found.end()
        thread.join()
    assert found.failure is None, found.failure


def moves_on(home: MarketHome, rows: Producing, what: str) -> None:
    """Wait until rows that were sent from now on are in the lake."""
    at = rows.sent
    wait_until(
        lambda: rows.sent > at + ROWS or rows.failure is not None, f"rows that are sent {what}", MOVE_S
    )
    assert rows.failure is None, rows.failure
    wanted = rows.sent
    wait_until(lambda: home.committed_rows() >= wanted, f"rows in the lake {what}", MOVE_S)


def assert_every_offset_once(home: MarketHome, sent: int) -> None:
    """The lake has what was sent, each number once, each offset once; nothing is flagged."""
    rows = home.rows(Name.TRADES)
    assert sent == sum(home.ends().values()) == len(rows)
    assert sorted(counting(3, sent // 3)) == sorted((row["symbol"], row["sequence"]) for row in rows)
    assert sent == len({(row["partition"], row["offset"]) for row in rows})
    assert {"first", "ok"} == {row["sequence_flag"] for row in rows}
    assert [] == completeness(home.table(Name.TRADES))


def test_every_broker_is_killed_in_its_turn(brokers, market):
    """Killed while rows come, started again, and on to the next once all replicas are in sync; nobody does more."""
    _ = market.opened
    with market.worker() as worker:
        with producing(market) as rows:
            moves_on(market, rows, "at the start")
            for node in BROKERS:
                brokers.stop(node, signal.SIGKILL)
                moves_on(market, rows, f"without broker {node}")
                brokers.start(node)
                wait_until(
                    lambda: brokers.whole([market.topic, "__consumer_offsets"]),
                    "all replicas in sync",
                    MOVE_S,
                )
                moves_on(market, rows, f"with broker {node} again")
        wait_until(lambda: market.committed_rows() == rows.sent, "everything in the lake", MOVE_S)
        worker.stop()
    assert_every_offset_once(market, rows.sent)


def test_group_moves_to_another_coordinator(brokers, market):
    """The broker that leads the consumer group is stopped: another takes the group over, and the worker goes on."""
    _ = market.opened
    with market.worker() as worker:
        with producing(market) as rows:
            moves_on(market, rows, "at the start")
            node = brokers.coordinator(market.group)
            brokers.stop(node, signal.SIGTERM)
            wait_until(lambda: brokers.coordinator(market.group) != node, "another coordinator", MOVE_S)
            moves_on(market, rows, "under another coordinator")
            before = dict(market.committed())
            wait_until(
                lambda: any(market.committed()[tp] > at for tp, at in before.items()),
                "offsets committed to the new coordinator",
                MOVE_S,
            )
            brokers.start(node)
        wait_until(lambda: market.committed_rows() == rows.sent, "everything in the lake", MOVE_S)
        worker.stop()
    assert_every_offset_once(market, rows.sent)
