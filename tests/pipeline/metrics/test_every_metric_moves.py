"""Every metric is seen moving on /metrics, while the real app lives through what metrics are about."""

import asyncio
import io
import logging
from datetime import UTC, datetime

import httpx
import pyarrow as pa
import pytest
from faust.types import TP
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException

from k2app.errors import TransientError
from k2app.market.topics import DataType
from k2app.operate.key_file import key_file
from k2app.operate.keys import Scope, new_key
from k2app.query.measures import OUTCOMES
from tests.pipeline.homes import REFERENCE, TRADES, counting, free_port, trades
from tests.pipeline.metrics.expected import broken_promises
from tests.pipeline.metrics.scraped import PREFIX, scraped_until
from tests.pipeline.stream.running import (
    HELD,
    Gate,
    flushed_all,
    partition_with_rows,
    read_all,
    rival_commit,
    running,
    settings_of,
    trades_of,
    until,
    writer_of,
)

ENDLESS = "SELECT count(*) FROM range(100000000000) AS a(x), range(1000) AS b(y) WHERE x * y % 7 = 3"

LOOK_S = 0.05
"""Seconds between looks at what is asked seldom: a test does not wait for fifteen."""

UNKNOWN_SCHEMA = b"\0\0\0\x27\x0f" + b"x" * 20
"""A record of schema 9999, which nobody has registered."""


class Faults:
    """What the catalog's commits meet, one after the other; below what observes it."""

    def __init__(self, monkeypatch):
        self.planned = []
        commit = SqlCatalog.commit_table

        def commit_table(catalog, *arguments):
            fault = self.planned.pop(0) if self.planned else None
            if fault == "conflict":
                raise CommitFailedException("another commit came first")
            done = commit(catalog, *arguments)
            if fault == "doubt":
                raise OSError("the connection broke before the answer came")
            return done

        monkeypatch.setattr(SqlCatalog, "commit_table", commit_table)


def made_key(home, *scopes, rate=None):
    """A key of a server, as its caller has it."""
    key = new_key("test", scopes, rate, None, datetime.now(UTC))
    key_file(settings_of(home)).add(key.key)
    return key.text


def company(number):
    """One company, as its topic has it."""
    times = pa.array([datetime(2026, 1, 5, tzinfo=UTC)] * 1, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "company_id": [f"C{number}"],
            "symbol": [f"S{number}"],
            "exchange": ["asx"],
            "asset_class": ["equities"],
            "name": ["A company"],
            "isin": pa.nulls(1, pa.string()),
            "currency": ["AUD"],
            "listed_from": pa.nulls(1, pa.date32()),
            "listed_to": pa.nulls(1, pa.date32()),
            "ingested_at": times,
            "load_id": pa.nulls(1, pa.string()),
            "source_line": pa.nulls(1, pa.int64()),
            "attributes": pa.nulls(1, pa.map_(pa.string(), pa.string())),
        }
    )


@pytest.fixture
def printing():
    """A handler before pytest's own, as a process has one."""
    root, handler = logging.getLogger(), logging.StreamHandler(io.StringIO())
    root.handlers.insert(0, handler)
    yield
    root.removeHandler(handler)


class Life:
    """What a worker lives through, with a page of metrics from each part of it."""

    def __init__(self, home, app, faults, base, keys):
        self.home, self.app, self.faults, self.base = home, app, faults, base
        self.key, self.slow_key = keys
        self.pages = []

    async def scrape(self, holds=lambda _: True, what="a page"):
        self.pages.append(await scraped_until(self.base, self.key, holds, what))
        return self.pages[-1]

    async def ask(self, path, key=None):
        headers = {} if key is None else {"X-API-Key": key}
        async with httpx.AsyncClient(base_url=self.base, timeout=30.0) as client:
            return await client.get(path, headers=headers)

    async def records(self):
        """Gaps, late and double ones; what cannot be read in three ways; companies. Seen while they wait."""
        self.home.publish(trades([*counting(2, 5), ("S0", 9), ("S0", 7), ("S1", 5), ("S1", 40)]))
        self.home.publish_raw([(b"x", b"bad"), (b"y", None), (b"z", UNKNOWN_SCHEMA)])
        self.home.publish(company(1), DataType.REFERENCE_DATA)
        await read_all(self.app)
        await self.scrape(lambda p: p.total("k2_lag_seconds") > 0, "records that wait")
        assert 14 + 3 == self.pages[-1].value("k2_buffered_rows", table="trades")
        assert 14 + 3 == sum(
            v for k, v in self.pages[-1].values["k2_lag_records"].items() if ("topic", TRADES) in k
        )

    async def commits(self):
        """A conflict, and a commit that landed without an answer; offsets that could not be told to the log."""
        told, refuse = self.app.consumer._commit, True

        async def commit(offsets):
            if refuse:
                raise TransientError("the log is busy")
            return await told(offsets)

        self.app.consumer._commit = commit
        self.faults.planned = ["conflict", "doubt"]
        await flushed_all(self.app)
        await self.scrape(
            lambda p: p.total("k2_pending_commit_records") > 0 < p.total("k2_offset_commit_failures"),
            "offsets that are not told",
        )
        refuse = False
        await self.scrape(
            lambda p: p.total("k2_pending_commit_records") == 0 and p.total("k2_open_gaps_of_symbol") > 0,
            "offsets that are, and gaps",
        )
        page = self.pages[-1]
        assert 2 == page.value("k2_open_gaps_of_symbol", table="trades", topic=TRADES, symbol="S0")
        assert 1 == page.value("k2_open_gaps_of_symbol", table="trades", topic=TRADES, symbol="S1")

    async def rivals(self):
        """Another worker commits what this one has read: fenced, and restored from the lake."""
        number = partition_with_rows(self.home)
        self.home.publish(trades(counting(4, 20, first=100)))
        await read_all(self.app)
        rival_commit(self.home, self.app, number, self.home.ends()[number])
        await trades_of(self.app).flush()
        await until(lambda: trades_of(self.app).reading, "the partitions again")
        await flushed_all(self.app)

    async def fetches(self):
        """Records that come twice, and a fetch from before the partition was taken over anew."""
        tp = TP(TRADES, partition_with_rows(self.home))
        self.app.consumer.positions.rewind(tp, 0)
        await self.scrape(lambda p: p.total("k2_records_redelivered") > 0, "records that came again")
        stale = await self.app.consumer.read_batch(tp, 0, 5)

        async def acknowledge():
            raise AssertionError("it is not in the lake")

        await trades_of(self.app).accept(stale, acknowledge)

    async def pauses(self):
        """Memory runs short, and is enough again."""
        memory = self.app.brake.memory
        used, memory._used = memory._used, lambda: 2 * memory.limit_bytes
        await until(lambda: memory.short, "short memory")
        gate = Gate(writer_of(self.app), "stage")
        self.home.publish(trades(counting(1, 5, first=9_000)))
        # Until what was read is in the lake, nothing is read.
        await self.scrape(lambda p: p.value("k2_ingest_paused", reason="memory") == 1, "a pause")
        gate.open()
        memory._used = used
        await until(lambda: not memory.short, "memory")

    async def waits(self):
        """The log does not answer for a moment."""
        consumer = type("Silent", (type(self.app.consumer),), {"trouble": "no answer"})
        was, self.app.consumer.__class__ = type(self.app.consumer), consumer
        await self.scrape(lambda p: p.value("k2_waiting", part="log") == 1, "a log that is waited for")
        self.app.consumer.__class__ = was

    async def questions(self):
        """Answered in each form, refused for each reason, running, waiting, and replayed slowly."""
        for path in ("/v1/trades?limit=3", "/v1/trades?format=ndjson", "/v1/replay?speed=max", "/v1/stats"):
            for _ in range(2):
                assert 200 == (await self.ask(path, self.key)).status_code
        assert 401 == (await self.ask("/v1/trades")).status_code
        assert 401 == (await self.ask("/v1/trades", "k2_wrong")).status_code
        statuses = [(await self.ask("/v1/stats", self.slow_key)).status_code for _ in range(2)]
        assert [200, 429] == statuses
        engine = self.app.engine
        busy = [engine._pool.submit(lambda s: s.fetch(ENDLESS, {})) for _ in range(engine_places(engine))]
        stream = engine._pool.submit(lambda s: s.fetch(ENDLESS, {}), stream=True)
        try:
            await self.replayed_slowly()
        finally:
            for one in (*busy, stream):
                one.cancel()
            ended = asyncio.gather(
                *(asyncio.wrap_future(one.thread) for one in (*busy, stream)), return_exceptions=True
            )
            await asyncio.wait_for(ended, 30)

    async def replayed_slowly(self):
        # Its opening is a query: it has to wait for the endless ones, which is what is to be seen.
        headers = {"X-API-Key": self.key}
        async with httpx.AsyncClient(base_url=self.base, timeout=30.0) as client:
            asking = asyncio.create_task(client.get("/v1/replay?speed=0.000001", headers=headers))
            await self.scrape(
                lambda p: all(
                    p.total(name) > 0
                    for name in (
                        "k2_queries_running",
                        "k2_queries_queued",
                        "k2_query_streams_open",
                        "k2_replays_running",
                        "k2_duckdb_memory_bytes",
                    )
                ),
                "everything under way at once",
            )
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def upkeep(self):
        """The log is trimmed, and somebody writes a line."""
        await asyncio.to_thread(self.app.retention.once)
        logging.getLogger("k2app.test").warning("something worth a line")


def engine_places(engine):
    """Queries that run at once, and one that waits."""
    return engine._pool._queries._running + 1


@pytest.mark.usefixtures("printing")
async def test_every_family_moves_in_a_life_that_has_everything(home, monkeypatch):
    """No metric is declared that nobody sets: each does what the table says of it, on pages of the running worker."""
    faults = Faults(monkeypatch)
    port = free_port()
    keys = (made_key(home, Scope.READ, Scope.REPLAY), made_key(home, Scope.READ, rate="1/d"))
    groups = {
        "flush": HELD,
        "log": {"keep_hours": 0.0},
        "metrics": {"look_s": LOOK_S, "top_symbols": 2},
        "query": {"concurrent": 1},
        "web": {"enabled": True, "port": port, "keys": "required"},
    }
    async with running(home, **groups) as app:
        base = f"http://127.0.0.1:{port}"
        before = await scraped_until(
            base, keys[0], lambda p: p.total("k2_table_snapshots") == 0, "a first page"
        )
        life = Life(home, app, faults, base, keys)
        for part in (
            life.records,
            life.commits,
            life.rivals,
            life.fetches,
            life.pauses,
            life.waits,
            life.questions,
            life.upkeep,
        ):
            await part()
        await life.scrape(
            lambda p: p.total("k2_table_rows") > 0 and p.total("k2_log_bytes") > before.total("k2_log_bytes"),
            "the sizes",
        )
        declared = {m.name for m in app.metrics.registry.collect() if m.name.startswith(PREFIX)}
    assert [] == broken_promises(before, life.pages, declared)
    assert 1 == life.pages[-1].value("k2_commits", table="trades", outcome="fenced")
    queries = life.pages[-1].values["k2_queries"]
    assert {*OUTCOMES} == {value for labels in queries for name, value in labels if name == "outcome"}


async def test_partitions_that_are_given_up_leave_no_series(home):
    """What another worker reads now is not told here any more: a lag that stands still would be believed."""
    home.publish(trades(counting(3, 20)))
    async with running(home, flush=HELD, metrics={"look_s": LOOK_S}) as app:
        await flushed_all(app)

        def shown(name):
            found = [m for m in app.metrics.registry.collect() if m.name == name]
            return {s.labels["partition"] for m in found for s in m.samples if s.labels["topic"] == TRADES}

        names = ("k2_lag_records", "k2_lag_seconds", "k2_pending_write_records", "k2_committed_offset")
        assert [{"0", "1"}] * len(names) == [shown(name) for name in names]
        await trades_of(app).revoke({TP(TRADES, 1)})
        await until(lambda: trades_of(app).reading, "the other partition again")
        assert [{"0"}] * len(names) == [shown(name) for name in names]
        assert 1 == app.metrics.registry.get_sample_value("k2_assigned_partitions", {"topic": TRADES})


async def test_lag_grows_while_nothing_can_be_committed(home):
    """A worker that is stuck says how far it is behind now, not how far it was when it last committed."""
    home.publish(trades(counting(1, 10)))
    async with running(home, flush=HELD, metrics={"look_s": LOOK_S}) as app:
        await flushed_all(app)
        (partition,) = (p for p, end in home.ends().items() if end)
        labels = {"topic": TRADES, "partition": str(partition)}

        def lag(name="k2_lag_records"):
            return app.metrics.registry.get_sample_value(name, labels)

        assert 0 == lag() == lag("k2_lag_seconds")
        app.consumer.positions.held = lambda: True
        home.publish(trades(counting(1, 7, first=11)))
        await until(lambda: lag() == 7, "the first lag")
        first_s = lag("k2_lag_seconds")
        home.publish(trades(counting(1, 5, first=18)))
        await until(lambda: lag() == 12, "a longer one")
        await until(lambda: lag("k2_lag_seconds") > first_s, "an older one")
        app.consumer.positions.held = lambda: False
        await flushed_all(app)
        assert 0 == lag() == lag("k2_lag_seconds")
    assert REFERENCE not in home.floors()
