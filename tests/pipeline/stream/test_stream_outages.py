"""Catalogs that do not answer, lose answers or are locked; slow commits; a log that is larger than the buffers."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import aiohttp
import pytest
from pyiceberg.catalog.sql import SqlCatalog

import k2app.app
from k2app.lake.audit import completeness
from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from tests.lake_flushes import Faulty
from tests.pipeline.homes import TRADES, counting, stopped, trades
from tests.pipeline.stream.running import (
    HELD,
    QUICK,
    Gate,
    all_offsets,
    flushed_all,
    offsets,
    outcomes,
    read_all,
    running,
    trades_of,
    until,
    until_ready,
    writer_of,
)
from tests.web.conftest import free_port


class Outage(SqlCatalog):
    """The catalog of another one's properties; while `down`, it cannot be reached."""

    def __init__(self, catalog):
        super().__init__(catalog.name, **catalog.properties)
        self.down = False

    def load_table(self, identifier):
        if self.down:
            raise ConnectionError("the catalog is away")
        return super().load_table(identifier)


@pytest.fixture
def catalog_of_app(monkeypatch):
    """Make apps use a catalog of the given class; returns where to find it."""

    def use(kind):
        made = []

        def opened(settings):
            made.append(kind(open_catalog(settings)))
            return made[-1]

        monkeypatch.setattr(k2app.app, "open_catalog", opened)
        return made

    return use


def everything_once(home):
    assert all_offsets(home) == offsets(home)
    assert [] == completeness(home.table(Name.TRADES))


async def test_catalog_away_for_a_while(home, catalog_of_app):
    """Readiness says what is wrong, nothing piles up, and ingest goes on by itself once the catalog is back."""
    made = catalog_of_app(Outage)
    home.publish(trades(counting(3, 100)))
    async with running(home, flush=HELD | {"max_rows": 50}, log={"fetch_rows": 20}) as app:
        await until(home.floors, "the first flush")
        ingest, (catalog,) = trades_of(app), made
        writer_of(app)._pace = QUICK
        catalog.down = True
        home.publish(trades(counting(3, 100, first=101)))
        await until(lambda: ingest.obstacle, "trouble")
        assert "the catalog is away" in (await app.readiness()).reasons[0]
        assert ingest._buffer.records <= 2 * 50 + 2 * 20
        # Trouble is told from the first attempt on, and reading ends with the last.
        await until(lambda: TRADES not in {p.topic for p in app.consumer.positions.partitions}, "no reading")
        catalog.down = False
        await until(lambda: ingest.reading, "recovery")
        await flushed_all(app)
        await until_ready(app)
        assert outcomes(app, "failed") >= 1
    everything_once(home)


@pytest.mark.parametrize("landed", [True, False])
async def test_commit_of_unknown_outcome(home, catalog_of_app, landed):
    """Whether a commit without an answer had landed or not, every row is there once."""
    made = catalog_of_app(Faulty)
    home.publish(trades(counting(3, 50)))
    async with running(home, flush=HELD) as app:
        (catalog,) = made
        writer_of(app)._pace = QUICK
        await read_all(app)
        catalog.faults = [(landed, TimeoutError("no answer"))]
        await flushed_all(app)
        assert [] == catalog.faults
    everything_once(home)


async def test_catalog_file_locked_by_another_program(home):
    """A locked catalog file is waited for: commits fail, nothing is lost, and they go on when it is free."""
    uri = f"sqlite:///{home.path / 'catalog.db'}?timeout=0.05"
    home.publish(trades(counting(3, 50)))
    async with running(home, flush=HELD, lake={"uri": uri}) as app:
        writer_of(app)._pace = QUICK
        await read_all(app)
        with closing(sqlite3.connect(home.path / "catalog.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            await trades_of(app).flush()
            assert 1 == outcomes(app, "unknown")
            assert {} == home.floors()
            other.execute("rollback")
        await flushed_all(app)
    everything_once(home)


async def test_large_log_waits_for_a_slow_lake(home):
    """While a flush hangs, buffered rows and fetched bytes stay bounded, however much the log holds."""
    max_rows, fetch_rows = 400, 50
    for part in range(40):
        home.publish(trades(counting(10, 50, first=1 + 50 * part)))
    stored = max(len(value) for (value,) in _payloads(home))
    bounds = {"fetch_rows": fetch_rows, "waiting_bytes": 2 * stored}
    async with running(home, flush=HELD | {"max_rows": max_rows}, log=bounds) as app:
        ingest, positions = trades_of(app), app.consumer.positions
        gate = Gate(writer_of(app), "stage")
        await until(lambda: not ingest._room.is_set() and gate.reached.is_set(), "full buffers")
        await until(lambda: not positions.ready(), "fetching to stop")
        partitions = len(home.ends())
        assert ingest._buffer.records + ingest._in_flush <= 2 * max_rows + partitions * fetch_rows
        waiting = [p.waiting_bytes for p in positions.partitions.values()]
        # One batch of each partition may be fetched below the limit and lead above it; a batch of a few rows
        # holds on to the stored batch that they are part of.
        assert (
            sum(waiting) <= 2 * stored + partitions * 2 * stored < sum(len(v) for (v,) in _payloads(home)) / 4
        )
        gate.open()
        await flushed_all(app)
    everything_once(home)


def _payloads(home):
    with closing(sqlite3.connect(home.log.path)) as log:
        return log.execute("select payload from batch where length(payload) > 0").fetchall()


async def test_event_loop_answers_while_a_step_hangs(home):
    """Decoding, writing and each commit run on threads: health checks are answered however long they take."""
    port = free_port()
    web = {"enabled": True, "port": port}
    async with running(home, web=web, flush=HELD) as app, aiohttp.ClientSession() as http:
        writer, steps = writer_of(app), ("stage", "commit_dead_letters", "commit_gaps", "commit_main")
        gates = [Gate(trades_of(app)._parts.schemas, "writers"), *(Gate(writer, step) for step in steps)]
        home.publish(trades(counting(3, 50)))
        done = asyncio.ensure_future(flushed_all(app))
        for gate in gates:
            await until(gate.reached.is_set, "the step")
            async with http.get(f"http://127.0.0.1:{port}/health/live") as answer:
                assert 200 == answer.status
            gate.open()
        await done
    everything_once(home)


BROKEN_ONCE = """
from k2app.cli import k2
from k2app.ingest import service

def broken(*_, **__):
    raise ArithmeticError("a defect in ingest")

service.process = broken
k2.app(["worker"])
"""


def test_defect_in_ingest_ends_the_worker(home):
    """An error that nobody expected ends the worker with its traceback; a repaired one reads everything."""
    home.publish(trades(counting(3, 50)))
    broken = subprocess.Popen(
        [sys.executable, "-c", BROKEN_ONCE],
        env=os.environ | home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with stopped(broken):
        printed, _ = broken.communicate(timeout=60)
    assert 1 == broken.returncode
    assert "ArithmeticError: a defect in ingest" in printed
    assert {} == home.floors()
    home.drain()
    everything_once(home)
