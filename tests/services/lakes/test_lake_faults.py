"""A network that is cut, slow, silent or answers 503 between K2 and its lake: nothing lost, nothing twice, and said."""

import json
import signal
import time
from contextlib import ExitStack, closing

import pytest

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import counting, trades, wait_until
from tests.services.fault_proxy import fault_proxy
from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.lakes.homes import LakeHome, on_postgres, on_rest
from tests.services.lakes.outages import (
    Production,
    Site,
    behind,
    strike,
    to_database,
    to_rest,
    to_s3,
    watch,
)
from tests.services.lakes.relay import relay
from tests.services.lakes.test_lake_worker import publish_market, publish_sequel, unnamed

RECOVERY_S = 150.0
"""Deadline of a recovery: a commit is tried for a minute, a request for several seconds."""

COMMIT = "Q\0\0\0\x0bCOMMIT"
"""How a COMMIT begins on its way to PostgreSQL. Source: PostgreSQL's protocol 3.0, "Message Formats": Query."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """A proxy without any way through it."""
    with fault_proxy(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same market in a folder and a SQLite file."""
    home = MarketHome(tmp_path_factory.mktemp("local") / "home", new_exchange())
    with closing(home):
        publish_market(home)
        publish_sequel(home)
        home.drain()
        return unnamed(home)


@pytest.fixture
def to(proxy, storage, database, request, tmp_path):
    """Makes a site whose worker reaches one server by the proxy."""
    with ExitStack() as stack:

        def make(server: str, **environment: str) -> Site:
            rest = request.getfixturevalue("rest") if "rest" in server else None
            lake = on_postgres(storage, database) if rest is None else on_rest(storage, rest)
            port, way = (
                to_s3(storage)
                if "s3" in server
                else to_database(database, lake)
                if rest is None
                else to_rest(rest)
            )
            return stack.enter_context(behind(proxy, tmp_path / "home", lake, port, way, **environment))

        yield make


def assert_whole(home: LakeHome, undisturbed: dict) -> None:
    """Every offset once, and the rows are a local lake's; the metadata proves it."""
    assert undisturbed == unnamed(home)
    assert [] == completeness(home.table(Name.TRADES))
    offsets = [(r["partition"], r["offset"]) for n in (Name.TRADES, Name.DEAD_LETTERS) for r in home.rows(n)]
    assert len(offsets) == len(set(offsets)) == home.committed_rows()


def said(worker, event: str) -> list[dict]:
    """Log lines of an event."""
    lines = [json.loads(line) for line in worker.printed().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def rows_of(undisturbed: dict) -> int:
    return sum(undisturbed["floors"].values())


@pytest.mark.parametrize(
    ("server", "fault"),
    [
        ("s3", "cut"),
        ("s3", "half-open"),
        ("s3", "503"),
        ("postgres", "cut"),
        ("postgres", "half-open"),
        ("rest", "cut"),
        ("rest", "half-open"),
        ("rest", "503"),
    ],
)
def test_worker_waits_for_its_lake_and_says_so(server, fault, to, undisturbed):
    """While it is away: not ready, for a reason, a metric and a line; queries are refused. Then all goes on."""
    site = to(server)
    with ExitStack() as stack, site.worker() as worker:
        wait_until(site.is_ready, "a worker that is ready")
        publish_market(site.home)
        wait_until(lambda: site.home.committed_rows() > 0, "the first commit")
        strike(site, fault, stack)
        publish_sequel(site.home)
        wait_until(lambda: site.ready()[0] == 503, "a worker that is not ready")
        wait_until(lambda: "trades: " in site.ready()[1], "the reason")
        wait_until(lambda: site.metric('k2_waiting{part="trades"}') == 1.0, "the metric")
        wait_until(lambda: said(worker, "waiting"), "a line in the log")
        if server != "s3":
            assert_told_to_come_back(site)
        site.mend()
        expected = rows_of(undisturbed)
        wait_until(lambda: site.home.committed_rows() == expected, "everything in the lake", RECOVERY_S)
        wait_until(site.is_ready, "a worker that is ready again", RECOVERY_S)
        assert 0.0 == site.metric('k2_waiting{part="trades"}')
        wait_until(lambda: said(worker, "goes_on"), "the line of its log")
        wait_until(lambda: site.query()[0] == 200, "an answer", RECOVERY_S)
        worker.stop()
    assert_whole(site.home, undisturbed)


def assert_told_to_come_back(site: Site) -> None:
    """A query during an outage: a problem that says so, within its time."""
    begun_s = time.monotonic()
    status, headers, text = site.query()
    assert 503 == status, text
    assert "application/problem+json" == headers["Content-Type"].partition(";")[0]
    assert int(headers["Retry-After"]) >= 1
    assert time.monotonic() - begun_s < 30


@pytest.mark.parametrize(("server", "fault"), [("s3", "cut"), ("s3", "half-open"), ("s3", "503")])
def test_query_of_new_files_while_s3_is_away(server, fault, to):
    """Answered within the limit with 503 and Retry-After, as often as it is asked; after the outage with rows."""
    site = to(server)
    with ExitStack() as stack, site.worker() as worker:
        wait_until(site.is_ready, "a worker that is ready")
        site.home.publish(trades(counting(3, 100)))
        wait_until(lambda: site.home.committed_rows() == 300, "the rows in the lake")
        strike(site, fault, stack)
        for _ in range(3):
            assert_told_to_come_back(site)
        site.mend()
        wait_until(lambda: site.query()[0] == 200, "an answer", RECOVERY_S)
        assert 5 == len(json.loads(site.query()[2])["rows"])
        worker.stop()


@pytest.mark.parametrize("server", ["s3", "postgres", "rest"])
@pytest.mark.parametrize("toxic", ["latency", "slow_close"])
def test_slow_network_is_no_fault(server, toxic, to, undisturbed):
    """Answers, or the ends of connections, that come late: everything is ingested, and nobody waits."""
    site = to(server)
    with site.worker() as worker:
        wait_until(site.is_ready, "a worker that is ready")
        if toxic == "latency":
            site.proxy.slow(100)
        else:
            site.proxy._poison("slow_close", delay=1_000)
        publish_market(site.home)
        publish_sequel(site.home)
        expected = rows_of(undisturbed)
        wait_until(lambda: site.home.committed_rows() == expected, "everything in the lake", RECOVERY_S)
        site.mend()
        worker.stop()
        assert [] == said(worker, "standing_down")
    assert_whole(site.home, undisturbed)


@pytest.mark.parametrize(
    ("server", "fault"), [("s3", "cut"), ("s3", "half-open"), ("postgres", "half-open"), ("rest", "503")]
)
def test_worker_is_stopped_in_an_outage(server, fault, to, undisturbed):
    """SIGTERM ends it within its limits, without an error; what it had read is read again by the next one."""
    site = to(server, K2_FLUSH_REVOKE_WITHIN_S="3", K2_S3_TIMEOUT_S="60", K2_LAKE_TIMEOUT_S="120")
    with ExitStack() as stack, site.worker() as worker:
        wait_until(site.is_ready, "a worker that is ready")
        publish_market(site.home)
        wait_until(lambda: site.home.committed_rows() > 0, "the first commit")
        strike(site, fault, stack)
        publish_sequel(site.home)
        wait_until(lambda: site.metric('k2_waiting{part="trades"}') == 1.0, "an outage that is noticed")
        worker.process.send_signal(signal.SIGTERM)
        # 3 s for its flushes, 10 for retention, 5 for calls that do not come back, and a busy machine.
        assert 0 == worker.process.wait(45), worker.printed()
        site.mend()
    site.home.drain()
    assert_whole(site.home, undisturbed)


def test_lost_answer_to_postgres_commit_is_one_snapshot(storage, database, tmp_path):
    """The database has committed and the connection is gone: the worker looks, finds its commit, adds nothing."""
    lake = on_postgres(storage, database)
    name = lake["K2_LAKE_URI"].rpartition("/")[2]
    with (
        relay(database.port) as between,
        closing(LakeHome(tmp_path / "home", new_exchange(), **lake)) as home,
    ):
        _ = home.opened
        way = {"K2_LAKE_URI": database.at(between.port).uri(name), "K2_FLUSH_INTERVAL_S": "0.2"}
        with home.worker(**way) as worker:
            home.publish(trades(counting(3, 10)))
            wait_until(lambda: worker.flushes() == 1, "the first commit")
            for part in range(1, 4):
                before = between.swallowed
                between.swallow(COMMIT)
                home.publish(trades(counting(3, 10, first=1 + 10 * part)))
                wait_until(lambda part=part: home.committed_rows() == 30 * (part + 1), "the rows")
                assert before + 1 == between.swallowed
            wait_until(lambda: worker.flushes() == 4, "the worker that found its commits")
            assert said(worker, "commit_unknown")
            assert [] == said(worker, "standing_down")
            worker.stop()
        assert sorted(counting(3, 40)) == sorted((r["symbol"], r["sequence"]) for r in home.rows(Name.TRADES))
        assert 4 == len(home.table(Name.TRADES).snapshots())
        assert [] == completeness(home.table(Name.TRADES))


@pytest.mark.parametrize("server", ["s3", "s3 under rest", "postgres"])
def test_memory_does_not_grow_with_an_outage(server, to):
    """Production goes on for a minute: what the worker holds is bounded by its limits.

    With a REST catalog, which has the tables' metadata, rows are read again and again while only S3 is away.
    """
    flush_rows, fetch_rows, block, partitions = 5_000, 2_000, 2_000, 2
    limits = {
        "K2_FLUSH_MAX_ROWS": str(flush_rows),
        "K2_LOG_FETCH_ROWS": str(fetch_rows),
        "K2_LOG_WAITING_BYTES": str(2 * 1024 * 1024),
    }
    site = to(server, **limits)
    with site.worker() as worker:
        wait_until(site.is_ready, "a worker that is ready")
        production = Production(site.home, block, 0.1)
        production.start()
        try:
            wait_until(lambda: site.home.committed_rows() > 10 * flush_rows, "some commits", RECOVERY_S)
            site.proxy.cut()
            samples = watch(site, worker, production, for_s=60, every_s=0.5)
        finally:
            production.end()
        site.mend()
        wait_until(lambda: site.home.committed_rows() == production.rows, "everything", RECOVERY_S)
        worker.stop()
    assert max(s.buffered_rows for s in samples) <= 2 * flush_rows + partitions * fetch_rows
    assert samples[-1].published_rows - samples[0].published_rows > 10 * flush_rows
    third = len(samples) // 3
    before = max(s.rss_mib for s in samples[:third])
    # Buffers of two flushes, what waits to be read, and what an allocator keeps of them.
    assert max(s.rss_mib for s in samples[third:]) <= before + 48, samples
    assert [] == completeness(site.home.table(Name.TRADES))
    assert production.rows == len(site.home.rows(Name.TRADES))


@pytest.mark.parametrize(("server", "fault"), [("postgres", "half-open"), ("s3 under rest", "cut")])
def test_outage_is_no_flood_of_lines(server, fault, to, undisturbed):
    """Errors that repeat are sampled: half a minute without the lake is a handful of lines."""
    site = to(server)
    with ExitStack() as stack, site.worker() as worker:
        wait_until(site.is_ready, "a worker that is ready")
        publish_market(site.home)
        wait_until(lambda: site.home.committed_rows() > 0, "the first commit")
        strike(site, fault, stack)
        publish_sequel(site.home)
        wait_until(lambda: len(said(worker, "waiting")) >= 2, "the second line that says it", RECOVERY_S)
        lines = [line for line in worker.printed().splitlines() if '"flushed"' not in line]
        assert len(lines) < 40, "\n".join(lines)
        site.mend()
        expected = rows_of(undisturbed)
        wait_until(lambda: site.home.committed_rows() == expected, "everything in the lake", RECOVERY_S)
        worker.stop()
    assert_whole(site.home, undisturbed)
