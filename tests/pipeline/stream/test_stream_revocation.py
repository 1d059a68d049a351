"""Partitions given up, taken again, and fenced while rows wait in the buffer."""

import asyncio
import time

import pytest

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import counting, trades
from tests.pipeline.stream.running import (
    HELD,
    WITHIN_S,
    Gate,
    all_offsets,
    flushed_all,
    offsets,
    outcomes,
    partition_with_rows,
    read_all,
    rival_commit,
    running,
    trades_of,
    until,
    until_ready,
    writer_of,
)

NUMBERS = [n for n in counting(3, 40) if n not in {("S0", 7), ("S1", 9)}]
"""Two gaps, so that a row that is judged twice, or by the wrong state, shows."""

SEQUEL = [("S0", 7), ("S0", 41), ("S1", 39), ("S2", 43)]
"""late, ok, conflict (a known number with other content), gap: with the states of all of `NUMBERS`, and no others."""


def judged_once(home):
    """Every offset is in the lake once, judged with the states of all that went before."""
    assert all_offsets(home) == offsets(home)
    assert [] == completeness(home.table(Name.TRADES))
    flags = [(r["symbol"], r["sequence"], r["sequence_flag"]) for r in home.rows(Name.TRADES)]
    assert {("S0", 8, "gap"), ("S1", 10, "gap"), ("S2", 43, "gap")} == {f for f in flags if f[2] == "gap"}
    assert ("S0", 7, "late") in flags
    assert ("S0", 41, "ok") in flags
    assert [("S1", 39, "conflict")] == [f for f in flags if f[2] in {"conflict", "duplicate"}]
    opened = [g for g in home.rows(Name.GAPS) if g["event"] == "opened"]
    assert [("S0", 7), ("S1", 9), ("S2", 41)] == sorted((g["symbol"], g["from_sequence"]) for g in opened)


async def resubscribe(app):
    topics = {tp.topic for tp in app.consumer.assignment()}
    await asyncio.wait_for(app.consumer.subscribe(topics), WITHIN_S)


async def test_revoked_partitions_are_flushed_before_faust_waits_for_them(home):
    """A buffered batch is committed when its partition goes, and Faust's wait for it does not hang."""
    home.publish(trades(NUMBERS))
    async with running(home, flush=HELD) as app:
        await read_all(app)
        assert {} == home.floors()
        app.on_rebalance_start()
        await asyncio.wait_for(app.consumer.on_partitions_revoked(app.consumer.assignment()), WITHIN_S)
        assert all_offsets(home) == offsets(home)
        assert {} == app.consumer.positions.partitions
        assert 0 == trades_of(app)._buffer.records


async def test_resubscription_reads_every_record_once(home):
    """A new assignment is a new generation, starts at the floor, and judges by the states of the old one."""
    home.publish(trades(NUMBERS))
    async with running(home, flush=HELD) as app:
        await read_all(app)
        generation = app.consumer_generation_id
        await resubscribe(app)
        assert generation + 1 == app.consumer_generation_id
        home.publish(trades(SEQUEL))
        await until(lambda: trades_of(app).reading and trades_of(app)._partitions, "assigned again")
        await flushed_all(app)
    judged_once(home)


async def test_recovery_that_ends_while_partitions_are_given_up_hands_nothing_out(home):
    """Faust says that it is complete all the same; partitions are read once they are dealt out, and not before."""
    home.publish(trades(NUMBERS))
    async with running(home, flush=HELD) as app:
        await read_all(app)
        ingest, handed_out = trades_of(app), []

        async def end_recovery(*_, **__):
            await app.tables.recovery.on_recovery_completed(app.consumer_generation_id)
            handed_out.append(set(ingest._wanted))

        app.on_partitions_revoked.connect(end_recovery)
        await resubscribe(app)
        assert [set()] == handed_out
        home.publish(trades(SEQUEL))
        await until(lambda: ingest.reading and ingest._partitions, "assigned again")
        await flushed_all(app)
    judged_once(home)


@pytest.mark.parametrize("step", ["stage", "commit_main"])
async def test_buffer_is_dropped_at_the_deadline_and_read_again(home, step):
    """A writer too slow for the deadline holds nobody up; what it lands late fences, and nothing is there twice."""
    home.publish(trades(NUMBERS))
    async with running(home, flush=HELD | {"revoke_within_s": 2}) as app:
        await read_all(app)
        gate = Gate(writer_of(app), step)
        begun = time.monotonic()
        await resubscribe(app)
        assert time.monotonic() - begun < WITHIN_S / 2
        assert gate.reached.is_set()
        assert {} == home.floors()
        await until(lambda: trades_of(app).reading and trades_of(app)._partitions, "assigned again")
        gate.open()
        home.publish(trades(SEQUEL))
        await flushed_all(app)
    judged_once(home)


async def test_fenced_worker_stands_down_and_reads_from_the_new_floor(home):
    """Another writer committed half of what is buffered: the buffer is void, and the rest comes after that half."""
    home.publish(trades(NUMBERS))
    number = partition_with_rows(home)
    async with running(home, flush=HELD) as app:
        await read_all(app)
        rival_commit(home, app, number, end=home.ends()[number] // 2)
        await trades_of(app).flush()
        assert 1 == outcomes(app, "fenced")
        home.publish(trades(SEQUEL))
        await until(lambda: trades_of(app).reading, "restored")
        await flushed_all(app)
        await until_ready(app)
    judged_once(home)


async def test_rows_read_while_a_fenced_flush_was_on_its_way_are_void_too(home):
    """What was judged by the states of a flush that failed goes with it, and comes back once, judged anew."""
    home.publish(trades(NUMBERS))
    number = partition_with_rows(home)
    async with running(home, flush=HELD) as app:
        await read_all(app)
        gate = Gate(writer_of(app), "commit_main")
        flushing = asyncio.ensure_future(trades_of(app).flush())
        await until(gate.reached.is_set, "the commit")
        end = home.ends()[number]
        home.publish(trades(SEQUEL))
        await read_all(app)
        assert len(SEQUEL) == trades_of(app)._buffer.records
        rival_commit(home, app, number, end=end // 2)
        gate.open()
        await flushing
        assert 1 == outcomes(app, "fenced")
        await flushed_all(app)
    judged_once(home)


async def test_stop_commits_what_is_buffered(home):
    """Stopping is giving up every partition: the buffer goes to the lake first."""
    home.publish(trades(NUMBERS))
    async with running(home, flush=HELD) as app:
        await read_all(app)
        assert {} == home.floors()
    assert all_offsets(home) == offsets(home)


async def test_stop_past_the_deadline_leaves_the_rows_to_the_next_start(home):
    """A writer that hangs does not keep the worker from ending; the next one reads what was dropped."""
    home.publish(trades(NUMBERS))
    async with running(home, flush=HELD | {"revoke_within_s": 2}) as app:
        await read_all(app)
        gate = Gate(writer_of(app), "stage")
        stopping = asyncio.ensure_future(app.stop())
        await asyncio.wait_for(stopping, WITHIN_S)
        gate.open()
    assert {} == home.floors()
    home.publish(trades(SEQUEL))
    async with running(home, flush=HELD) as app:
        await flushed_all(app)
    judged_once(home)
