"""What metrics say while something is wrong: they neither forget it nor stand as they were."""

import asyncio
from contextlib import closing

import pytest

from k2app.app import create_web
from k2app.errors import TransientError
from k2app.instruments import process_looks
from k2app.lake.catalog import open_catalog
from k2app.query.measures import OUTCOMES
from k2app.query.queries import QUERIES
from k2app.query.replay.query import REPLAY_QUERY
from tests.pipeline.homes import OPEN_US, counting, trades
from tests.pipeline.stream.running import (
    HELD,
    flushed_all,
    outcomes,
    running,
    settings_of,
    until,
    writer_of,
)

HOUR_US = 3_600_000_000

LIMIT_BYTES = 1 << 40
"""Memory that a process may take: more than any machine has that runs tests."""


def told(app, name, **labels):
    """Value of a series on a worker's page of metrics."""
    return app.metrics.registry.get_sample_value(name, labels)


async def test_flushes_that_fail_do_not_make_the_last_commit_younger(home):
    """Each is thrown away and read again, so that no row in memory is old; the age goes on until one is committed."""

    def refuse(_staged):
        raise TransientError("the catalog does not answer", retry_after_s=0.01)

    async with running(home, flush={"interval_s": 0.05}) as app:
        writer = writer_of(app)
        commit, writer.commit_main = writer.commit_main, refuse
        home.publish(trades(counting(2, 10)))
        await until(lambda: outcomes(app, "failed") > 1, "flushes that fail")
        await until(
            lambda: (
                told(app, "k2_commit_age_seconds", table="trades")
                > 1.0 + told(app, "k2_oldest_unflushed_seconds", table="trades")
            ),
            "an age that outlives the flushes",
        )
        assert 0 == told(app, "k2_commit_age_seconds", table="quotes")
        writer.commit_main = commit
        await until(lambda: told(app, "k2_commit_age_seconds", table="trades") == 0, "everything committed")


async def test_newest_event_stays_when_old_files_are_loaded(home):
    """A load of last year does not look like a feed that stopped last year."""
    async with running(home, flush=HELD) as app:
        home.publish(trades(counting(1, 3), start_us=OPEN_US + HOUR_US))
        await flushed_all(app)
        newest_s = told(app, "k2_last_event_timestamp_seconds", table="trades")
        assert pytest.approx((OPEN_US + HOUR_US + 2_000) / 1_000_000) == newest_s
        home.publish(trades(counting(1, 3, first=4)))
        await flushed_all(app)
        assert newest_s == told(app, "k2_last_event_timestamp_seconds", table="trades")


async def test_process_of_which_nobody_can_say_whether_it_is_ready_is_not(home):
    """A look at readiness that fails does not leave the gauge at 1."""
    async with running(home, flush=HELD) as app:
        answers = [True, OSError("no answer")]

        async def ready():
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        look = process_looks(app.settings, app.metrics, app.engine, ready)["readiness"]
        await look()
        assert 1 == told(app, "k2_ready")
        with pytest.raises(OSError, match="no answer"):
            await look()
        assert 0 == told(app, "k2_ready")


async def test_memory_is_told_as_the_brake_counts_it(home):
    """With its limit: an alert on the one against the other means the same as the brake does."""
    async with running(home, flush=HELD, memory={"limit_bytes": LIMIT_BYTES}) as app:
        assert LIMIT_BYTES == app.brake.memory.limit_bytes == told(app, "k2_memory_limit_bytes")
        await until(lambda: app.brake.memory.used_bytes > 0, "a look of the brake")
        resident_bytes = told(app, "process_resident_memory_bytes")
        assert 0 < told(app, "k2_memory_used_bytes") < resident_bytes


async def test_web_server_tells_its_memory_and_its_limit(home):
    """A process that only answers queries has one, too."""
    settings = settings_of(home, memory={"limit_bytes": LIMIT_BYTES})
    with closing(open_catalog(settings)) as catalog:
        site = create_web(settings, catalog)
        try:
            told_here = site._metrics.registry.get_sample_value
            assert LIMIT_BYTES == told_here("k2_memory_limit_bytes")
            assert 0 < told_here("k2_memory_used_bytes") < LIMIT_BYTES
        finally:
            await asyncio.to_thread(site.engine.close)


async def test_queries_are_counted_from_zero(home):
    """Of every resource and outcome: the first that fails is an increase."""
    async with running(home, flush=HELD) as app:
        for query in (*QUERIES, REPLAY_QUERY):
            found = {
                outcome: told(app, "k2_queries_total", resource=query.name, outcome=outcome)
                for outcome in OUTCOMES
            }
            assert dict.fromkeys(OUTCOMES, 0) == found
