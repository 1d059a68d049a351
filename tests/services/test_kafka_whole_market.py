"""Real exchange files and a generated market over Kafka, while workers die, come and go: the embedded log's lake."""

import signal

import pytest

from k2app.lake.audit import completeness
from k2app.operate.opening import MAIN
from tests.exchange_files import exchange_files
from tests.pipeline.homes import wait_until
from tests.services.kafka_homes import new_exchange
from tests.services.whole_market import WholeHome, differences, generated_parts, real_loads

FLUSH = {"K2_FLUSH_MAX_ROWS": "5000", "K2_LOG_FETCH_ROWS": "2000", "K2_FLUSH_INTERVAL_S": "0.5"}

MOVE_S = 90.0
"""Deadline of a rebalance: far above the seconds it takes."""

GENERATED = 200_000
"""Fewest rows that the generated market brings."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Loads in three parts; the real files come first."""
    first, second, third = generated_parts(tmp_path_factory.mktemp("market"))
    return [[*real_loads(exchange_files()), *first], second, third]


def test_lake_is_that_of_the_embedded_log_whatever_becomes_of_workers(parts, tmp_path, urls):
    """Rows, flags, gaps, dead letters, ledger and states are those of one undisturbed worker on the embedded log.

    On Kafka the worker is killed between two flushes; a second one joins, and leaves again, while rows come.
    """
    prefix, (kafka_url, registry_url) = new_exchange(), urls
    home = WholeHome(tmp_path / "home", prefix, K2_LOG_URL=kafka_url, K2_REGISTRY_URL=registry_url, **FLUSH)
    home.load(parts[0])
    killed_between_flushes(home)
    with home.worker() as first:
        with home.worker("second") as second:
            wait_until(lambda: home.stable_members() == 2, "partitions dealt to two workers", MOVE_S)
            before = [worker.flushes() for worker in (first, second)]
            home.load(parts[1])
            wait_for_lake(home, "the second part in the lake")
            assert all(worker.flushes() > had for worker, had in zip((first, second), before, strict=True))
            home.load(parts[2][:2])
            second.stop()
        home.load(parts[2][2:])
        wait_for_lake(home, "everything in the lake")
        first.stop()

    embedded = WholeHome(tmp_path / "embedded", prefix)
    embedded.load([load for part in parts for load in part])
    embedded.drain()
    found = home.everything()
    assert [] == differences(found, embedded.everything())
    assert [] == [problem for name in MAIN for problem in completeness(home.table(name))]
    assert_everything_came(found)


def killed_between_flushes(home: WholeHome) -> None:
    """Run a worker until it has flushed twice; it is killed with rows waiting."""
    with home.worker(K2_FAULT="flush-acknowledged:2") as worker:
        wait_until(worker.ended, "the worker killed after its second flush")
        assert -signal.SIGKILL == worker.process.returncode, worker.printed()
    assert home.in_lake() < home.on_log()


def wait_for_lake(home: WholeHome, what: str) -> None:
    """Wait until the lake has what is on the log by now."""
    end = home.on_log()
    wait_until(lambda: home.in_lake() == end, what, MOVE_S)


def assert_everything_came(found: dict[str, list[dict]]) -> None:
    """The market is the one that was meant: real and generated rows, every kind of fault in them, states of them."""
    rows = found["trades"] + found["quotes"]
    assert len(rows) > GENERATED
    assert {2014, 2026} == {row["timestamp"].year for row in rows}
    assert {"ok", "first", "gap", "late", "reset", "duplicate", "regressed"} == {
        row["sequence_flag"] for row in rows
    }
    assert {"opened", "filled"} <= {row["event"] for row in found["gaps"]}
    assert all(one["whole"] for one in found["states"])
    assert sum(len(one["states"]) for one in found["states"]) > 0
