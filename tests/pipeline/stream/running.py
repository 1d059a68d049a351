"""Apps that run inside the test, so that a test can look into them and get in their way."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from uuid import uuid4

from faust.types import TP

from k2app.app import create_app
from k2app.ingest.partition import Partition
from k2app.ingest.rows import process
from k2app.ingest.schema_cache import SchemaCache
from k2app.lake.catalog import open_catalog
from k2app.lake.commit import Pace
from k2app.lake.tables import Name
from k2app.lake.writer import Flush, Writer
from k2app.market.sequence_states import States
from k2app.settings import read_settings
from k2app.stream.log_file import LogFile
from k2app.stream.registry import EmbeddedRegistry
from tests.pipeline.homes import TRADES

WITHIN_S = 120.0
"""Deadline of everything that is waited for: far above what it takes, so that only a hang meets it."""

STOPS_WITHIN_S = 120.0
"""Deadline of a start and of a stop: that may wait for a last flush, and for each part to end."""

QUICK = Pace(within_s=0.3, first_wait_s=0.01, longest_wait_s=0.05, jitter_s=0.01)
"""Commits that are given up after a moment, so that a test need not wait for a minute."""

HELD = {"max_rows": 100_000, "interval_s": 3000.0}
"""Flush settings under which nothing is committed by itself."""


def settings_of(home, **groups):
    """Settings of a home, with groups of settings as dictionaries."""
    return read_settings(
        home=home.path,
        exchanges="asx",
        exchanges_file=home.path / "exchanges.toml",
        **({"web": {"enabled": False}} | groups),
    )


@asynccontextmanager
async def running(home, **groups):
    """Run an app over a home; `app.failures` is what it failed with."""
    _ = home.log
    app = create_app(settings_of(home, **groups))
    app.failures = []

    async def fail(error):
        app.failures.append(error)

    app.on_failure = fail
    await within(app.start(), "the start")
    try:
        await until(lambda: trades_of(app).reading and app.consumer.assignment(), "partitions restored")
        yield app
    finally:
        await within(app.stop(), "the stop")
    assert [] == app.failures


async def within(work, what):
    """Await something, or fail by the deadline with what else is under way: services of Faust's swallow a cancel."""
    task = asyncio.ensure_future(work)
    if not (await asyncio.wait({task}, timeout=STOPS_WITHIN_S))[0]:
        others = [str(one.get_stack(limit=1)) for one in asyncio.all_tasks()]
        raise AssertionError("\n".join([f"not within {STOPS_WITHIN_S} s: {what}", *others]))
    await task


async def until(holds, what, within_s=WITHIN_S):
    """Poll until something holds, or fail by the deadline."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.005)


async def until_ready(app, within_s=WITHIN_S):
    """Poll until nothing keeps the worker from its work."""
    deadline = time.monotonic() + within_s
    while reasons := (await app.readiness()).reasons:
        assert time.monotonic() < deadline, f"not within {within_s} s: a ready worker; {reasons}"
        await asyncio.sleep(0.005)


async def flushed_all(app):
    """Read to the end of the log, and commit."""
    ingest, ends = trades_of(app), await app.log_ends()
    deadline = time.monotonic() + WITHIN_S
    while not ingest.drained(ends):
        assert time.monotonic() < deadline, (
            f"not within {WITHIN_S} s: everything committed; {ingest.obstacle}"
        )
        await until(lambda: ingest.reading and ingest.read_past(ends), "read to the end")
        await ingest.flush()
        # Neither has to wait for anything; what they depend on may.
        await asyncio.sleep(0)


async def read_all(app):
    """Wait until everything in the log is read; it may wait in the buffer."""
    ends = await app.log_ends()
    await until(lambda: trades_of(app).read_past(ends), "read to the end")


def trades_of(app):
    """The ingest of trades."""
    return app.ingests[Name.TRADES]


def writer_of(app):
    """Its writer."""
    return trades_of(app)._parts.flusher.writer


def outcomes(app, outcome):
    """How many commits of trades ended so."""
    labels = {"table": "trades", "outcome": outcome}
    return app.metrics.registry.get_sample_value("k2_commits_total", labels) or 0


def offsets(home, name=Name.TRADES):
    """(partition, offset) of every row, copies and all."""
    return [(r["partition"], r["offset"]) for r in home.rows(name)]


def all_offsets(home):
    """(partition, offset) of everything that the log holds."""
    return [(p, o) for p, end in sorted(home.ends().items()) for o in range(end)]


class Gate:
    """Holds calls of one method of a writer back until it is opened."""

    def __init__(self, writer, method):
        self.reached, self._open = threading.Event(), threading.Event()
        self._call = getattr(writer, method)
        setattr(writer, method, self._pass)

    def _pass(self, *arguments):
        self.reached.set()
        assert self._open.wait(WITHIN_S), "the gate was never opened"
        return self._call(*arguments)

    def open(self):
        """Let everything through from now on."""
        self._open.set()


def rival_commit(home, app, partition, end):
    """Commit offsets [floor, end) of a trades partition as another worker would have."""
    settings = settings_of(home)
    writer = Writer(open_catalog(settings), settings, Name.TRADES, lambda: time.time_ns() // 1000)
    source = trades_of(app).sources[TRADES]
    log = LogFile(home.log.path)
    start = home.floors().get((TRADES, partition), 0)
    batch = log.read(TRADES, partition, start, max_rows=end - start, max_bytes=2**40)
    part = Partition(log.log_id, source, partition, start, States.empty(), start, 30)
    writers = SchemaCache(EmbeddedRegistry(log)).writers(batch.data, batch.starts, batch.value_lengths)
    done = process(batch, source, part.states, writers, {})
    part.take(batch, done)
    staged = writer.stage(
        Flush(uuid4().hex, log.log_id, done.rows, done.dead_letters, done.gaps, (part.cut().range,))
    )
    writer.commit_gaps(staged)
    writer.commit_main(staged)
    log.close()


def partition_with_rows(home):
    """Number of a trades partition that holds records."""
    return next(TP(TRADES, p).partition for p, end in sorted(home.ends().items()) if end)
