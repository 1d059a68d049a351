"""Memory and disks that run short: reading stops and goes on by itself, and nothing is lost for it."""

import structlog

from k2app.ingest.disk import DiskGuard
from k2app.ingest.memory import MemoryGuard
from k2app.lake.tables import Name
from tests.pipeline.homes import counting, trades
from tests.pipeline.stream.running import (
    HELD,
    all_offsets,
    flushed_all,
    offsets,
    read_all,
    running,
    until,
    until_ready,
)
from tests.storm.storm import committed

STEPS_S = 120.0
"""Deadline of what takes a commit for each batch: far above what it takes, on a busy machine, too."""

MUCH = 10**9
"""Bytes; what may be taken, and what must be free."""


class Amount:
    """So many bytes, as the test says."""

    def __init__(self, now):
        self.now = now

    def __call__(self, *_):
        return self.now


def told(lines, *events):
    return [line["event"] for line in lines if line["event"] in events]


def guarded_by(app, memory=None, disk=None):
    """Put guards of the test into a running app."""
    if memory is not None:
        app.brake.memory = MemoryGuard(MUCH, memory)
    if disk is not None:
        app.brake.disk = DiskGuard([app.settings.home], MUCH, disk)
        app.brake.disk.look()


async def test_short_memory_pauses_reading_until_there_is_enough(home):
    """Partitions are not fetched while what was read is not committed; it is committed at once, and told once."""
    memory = Amount(MUCH - 1)
    home.publish(trades(counting(2, 20)))
    with structlog.testing.capture_logs() as lines:
        async with running(home, flush=HELD, log={"fetch_rows": 5}) as app:
            guarded_by(app, memory=memory)
            await read_all(app)
            assert not app.brake.held
            assert 0 == committed(home)
            memory.now = MUCH
            await until(lambda: app.brake.memory.short, "short memory")
            # HELD commits nothing by rows or by age: only the brake does.
            await until(lambda: committed(home) == 40, "what was read is committed")
            body = await app.readiness()
            assert "K2_MEMORY_LIMIT_BYTES" in body.warnings["memory"]
            # Memory that is not ours to free: it goes on, in steps.
            home.publish(trades(counting(2, 10, first=21)))
            await until(lambda: committed(home) == 60, "more of it, in steps", STEPS_S)
            memory.now = MUCH * 0.95
            await until(lambda: app.brake.memory.used_bytes == memory.now, "a look")
            assert app.brake.memory.short, "little less is not enough"
            memory.now = MUCH // 2
            await until(lambda: not app.brake.memory.short, "enough memory")
            assert {} == (await app.readiness()).warnings
            await flushed_all(app)
    assert ["memory_short", "memory_enough"] == told(lines, "memory_short", "memory_enough")
    assert all_offsets(home) == offsets(home)


async def test_steps_are_small_while_memory_is_short(home):
    """Nothing is fetched while something waits: a commit holds what one step brings, however much the log has."""
    home.publish(trades(counting(2, 30)))
    async with running(home, flush=HELD, log={"fetch_rows": 5}, memory={"limit_bytes": 1}):
        await until(lambda: committed(home) == 60, "all of it, in steps", STEPS_S)
    steps = [int(s.summary["added-records"]) for s in home.table(Name.TRADES).snapshots()]
    # Of each of two partitions, what the agent has, and at most one batch that came while it took it.
    assert max(steps) <= 2 * 2 * 5
    assert all_offsets(home) == offsets(home)


async def test_low_disk_stops_reading_before_it_is_full(home):
    """What was read is committed, nothing more is read, readiness names the folder; with space it goes on by itself."""
    disk = Amount(2 * MUCH)
    with structlog.testing.capture_logs() as lines:
        async with running(home, flush={"interval_s": 0.05}) as app:
            guarded_by(app, disk=disk)
            home.publish(trades(counting(2, 20)))
            await until(lambda: committed(home) == 40, "rows in the lake")
            disk.now = MUCH - 1
            await until(lambda: app.brake.held, "a brake that holds")
            home.publish(trades(counting(2, 20, first=21)))
            reasons = (await app.readiness()).reasons
            assert any(
                reason.startswith(f"disk: the disk of {home.path} has 999,999,999 bytes free")
                for reason in reasons
            )
            # A little more is not enough: files come and go.
            disk.now = MUCH + 1
            await until(lambda: app.brake.disk.free_bytes == {home.path: MUCH + 1}, "a look")
            assert app.brake.held
            assert 40 == committed(home)
            disk.now = 2 * MUCH
            await until(lambda: committed(home) == 80, "the rest in the lake")
            await until(lambda: not app.brake.held, "a brake that is released")
            await until_ready(app)
    assert ["disk"] == [line["part"] for line in lines if line["event"] == "waiting"]
    assert ["disk"] == [line["part"] for line in lines if line["event"] == "goes_on"]
    assert all_offsets(home) == offsets(home)
