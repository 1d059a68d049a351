"""One worker on a real Kafka: the lake is the one that the embedded log gives, whatever kills the worker."""

import asyncio
import re
import signal
import urllib.request
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from k2app.faults import POINTS
from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from k2app.stream.kafka_cluster import servers
from k2app.stream.kafka_sending import send_pairs
from tests.pipeline.homes import WORKER_S, counting, free_port, trades, wait_until
from tests.services.kafka_homes import (
    MarketHome,
    delete_before,
    delete_topic,
    new_exchange,
)

LARGE, SMALL = 5_000, 500
"""Numbers per symbol: 200,000 and 20,000 rows, in ten blocks."""

SYMBOLS = 40


def flush_of(each: int) -> dict[str, str]:
    """Several flushes of a few batches each, by rows and not by time."""
    return {
        "K2_FLUSH_MAX_ROWS": str(6 * each),
        "K2_LOG_FETCH_ROWS": str(2 * each),
        "K2_FLUSH_INTERVAL_S": "30",
    }


def publish_market(home: MarketHome, each: int) -> None:
    """Ten blocks with gaps, late rows, duplicates, rows without a number, and broken messages between them."""
    numbers = counting(SYMBOLS, each)
    missing = {(f"S{s}", n) for s in range(0, SYMBOLS, 3) for n in range(300 + s, 303 + s)}
    for at in range(0, len(numbers), len(numbers) // 10):
        home.publish(trades([n for n in numbers[at : at + len(numbers) // 10] if n not in missing]))
        home.publish_raw([(b"S1", b"not avro"), (b"S2", None), (None, b"\0\0\0\x7f\x63tail")], partition=1)
        home.publish(trades([("S4", 20), ("S0", None), ("S5", 1)]))
    home.publish(trades([("S0", 301), ("S3", 305)]))


def publish_sequel(home: MarketHome, each: int) -> None:
    """What follows: judged rightly only with the states that the first part left."""
    home.publish(trades([("S0", 302), ("S3", each), ("S0", each + 1), ("S4", each + 5)]))


def embedded(path: Path, each: int) -> dict:
    """The lake of the same market through the embedded log."""
    home = MarketHome(path, new_exchange(), **flush_of(each))
    publish_market(home, each)
    publish_sequel(home, each)
    home.drain()
    return unnamed(home)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return embedded(tmp_path_factory.mktemp("embedded") / "home", SMALL)


def unnamed(home: MarketHome) -> dict:
    """Everything in the lake, the exchange's name taken out."""

    def of(value):
        if isinstance(value, dict):
            return {of(k): of(v) for k, v in value.items()}
        if isinstance(value, list):
            return [of(v) for v in value]
        if isinstance(value, tuple):
            return tuple(of(v) for v in value)
        return value.replace(home.exchange, "EXCHANGE") if isinstance(value, str) else value

    return of(home.everything())


def test_lake_is_that_of_the_embedded_log(home, tmp_path):
    """Rows, flags, gap events, dead letters and floors do not depend on which log carried the records."""
    home.environment |= flush_of(LARGE)
    publish_market(home, LARGE)
    publish_sequel(home, LARGE)
    home.drain()
    assert embedded(tmp_path / "embedded", LARGE) == unnamed(home)
    assert 199_000 < len(home.rows(Name.TRADES))
    assert 30 == len(home.rows(Name.DEAD_LETTERS))
    assert [] == completeness(home.table(Name.TRADES))


@pytest.mark.parametrize("point", [f"{p}:2" for p in POINTS])
def test_killed_at(point, home, small):
    """Whatever was under way in the second flush, a restart gives the lake of an undisturbed run."""
    home.environment |= flush_of(SMALL)
    publish_market(home, SMALL)
    status, printed = home.run("--drain", K2_FAULT=point)
    assert -signal.SIGKILL == status, printed
    publish_sequel(home, SMALL)
    home.drain()
    assert small == unnamed(home)
    assert [] == completeness(home.table(Name.TRADES))


def test_committed_offsets_reach_the_end_when_idle(home):
    """Lag tools see an idle topic as read to its end; nothing is committed past the lake."""
    home.publish(trades(counting(3, 50)))
    with home.worker(K2_FLUSH_INTERVAL_S="0.2") as worker:
        ends = {(home.topic, p): end for p, end in home.ends().items()}
        wait_until(lambda: ends.items() <= home.committed().items(), "committed offsets at the end")
        assert ends == home.floors()
        worker.stop()


def test_unflushed_rows_are_not_committed(home):
    """A worker killed with rows in its buffer has not told Kafka that they are done."""
    home.publish(trades(counting(3, 50)))
    with home.worker(K2_FLUSH_INTERVAL_S="3000", K2_FLUSH_MAX_ROWS="100") as worker:
        wait_until(lambda: any(t == home.topic for t, _ in home.committed()), "a first commit of offsets")
        home.publish(trades(counting(3, 10, first=51)))
        worker.process.kill()
        worker.process.wait()
    committed = {place: offset for place, offset in home.committed().items() if place[0] == home.topic}
    assert committed.items() <= home.floors().items()
    home.drain()
    assert 180 == len(home.rows(Name.TRADES))


def test_signal_flushes_and_exits_0(home):
    """A worker told to end commits what it has read."""
    home.publish(trades(counting(3, 50)))
    with home.worker(K2_FLUSH_INTERVAL_S="3000", K2_FLUSH_MAX_ROWS="100") as worker:
        wait_until(lambda: home.committed_rows() > 0, "the first flush, by rows")
        worker.stop()
    assert 150 == len(home.rows(Name.TRADES))


def test_state_folder_has_one_worker(home):
    """A second worker with the same K2_HOME is told to take its own."""
    home.publish(trades(counting(1, 1)))
    with home.worker(K2_FLUSH_INTERVAL_S="0.1"):
        wait_until(lambda: home.committed_rows() == 1, "the first worker at work")
        status, printed = home.run("--drain")
    assert 2 == status
    assert "give each worker a K2_HOME of its own" in printed
    assert "Traceback" not in printed


def test_hole_stops_the_worker_and_is_recorded_on_request(home):
    """Offsets that retention took are named; with K2_ON_HOLE=continue the hole is written down."""
    home.publish(trades(counting(1, 10)))
    home.drain()
    home.publish(trades(counting(1, 10, first=11)))
    (place,) = home.floors()
    delete_before(home.settings.log_url, TP(*place), 15)
    status, printed = home.run("--drain")
    assert 2 == status
    assert "starts at 15, the lake ends at 10: 5 offsets are gone from the log" in printed
    home.drain(K2_ON_HOLE="continue")
    assert 15 == len(home.rows(Name.TRADES))


def test_recreated_topic_is_refused(home):
    """A topic that was deleted and made again is not read as if it were the old one."""
    home.publish(trades(counting(1, 10)))
    home.drain()
    delete_topic(home.settings.log_url, home.topic)
    home.close()
    home.publish(trades(counting(1, 10), price=500))
    status, printed = home.run("--drain")
    assert 2 == status
    assert "is not the one that the lake holds" in printed


def test_topic_recreated_under_a_running_worker_is_refused(home):
    """Nor while the worker reads it: it stops, rather than skip or take what is there now."""
    home.publish(trades(counting(1, 10)))
    with home.worker(K2_FLUSH_INTERVAL_S="0.1") as worker:
        wait_until(lambda: home.committed_rows() == 10, "the first rows in the lake")
        (place,) = home.floors()
        delete_topic(home.settings.log_url, home.topic)
        home.opened.create_topic(home.topic, home.partitions)
        home.publish_raw([(b"S0", b"x")] * 3, partition=place[1])
        assert 2 == worker.process.wait(60), worker.printed()
        assert "Traceback" not in worker.printed()
    assert 10 == len(home.rows(Name.TRADES))


def test_given_up_transactions_are_not_read(home):
    """Records of a producer that aborted were never sent; a log that ends with one is read to its end."""
    home.publish(trades(counting(1, 5)))
    (partition,) = [p for p, end in home.ends().items() if end]
    for first in (6, 11):
        end = home.ends()[partition]
        asyncio.run(give_up(home, partition, records=4))
        # Four records and the marker, which the broker writes a moment later.
        wait_until(lambda end=end: home.ends()[partition] == end + 5, "the transaction's marker")
        if first == 6:
            home.publish(trades(counting(1, 5, first=first)))
    home.drain()
    assert [*range(5), *range(10, 15)] == [r["offset"] for r in home.rows(Name.TRADES)]
    assert [] == home.rows(Name.DEAD_LETTERS)
    assert [] == completeness(home.table(Name.TRADES))


def test_log_that_ends_with_markers_leaves_no_lag(home):
    """Nothing waits behind the last record: a worker at rest is ready, and says that it is not behind."""
    home.publish(trades(counting(1, 5)))
    (partition,) = [p for p, end in home.ends().items() if end]
    port = free_port()
    web = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port), "K2_METRICS_LOOK_S": "0.2"}
    with home.worker(**web, K2_FLUSH_INTERVAL_S="0.2"):
        for sent in (0, 6):
            asyncio.run(give_up(home, partition, records=4))
            end = 10 + sent
            wait_until(lambda end=end: home.ends()[partition] == end, "the transaction's marker")
            wait_until(
                lambda end=end: behind(port, home.topic, partition) == (0, 0, end - 5), "a worker at the end"
            )
            if not sent:
                home.publish(trades(counting(1, 1, first=6)))
    assert [*range(5), 10] == [r["offset"] for r in home.rows(Name.TRADES)]


def behind(port: int, topic: str, partition: int) -> tuple[float, ...]:
    """Lag in records and seconds of a partition, and where the lake ends, as /metrics has them; empty: no answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WORKER_S) as answer:
            page = answer.read().decode()
    except OSError:
        return ()
    labels = re.escape(f'{{partition="{partition}",topic="{topic}"}}')
    names = ("k2_lag_records", "k2_lag_seconds", "k2_committed_offset")
    return tuple(
        float(value) for name in names for value in re.findall(rf"^{name}{labels} (\S+)$", page, re.MULTILINE)
    )


async def give_up(home: MarketHome, partition: int, records: int) -> None:
    """Send records in a transaction, and abort it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers(home.settings.log_url), transactional_id=home.exchange
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        await send_pairs(producer, TP(home.topic, partition), [(b"S0", b"x")] * records)
        await producer.abort_transaction()
    finally:
        await producer.stop()
