"""What was read after a flush that fails, or after the last one, is not committed: it would follow a hole."""

import asyncio
import threading
from dataclasses import replace

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

import schemas
from k2app.errors import CommitUnknownError, FencedError, OperatorError, TransientError
from k2app.ingest.partition import Partition
from k2app.ingest.schema_cache import SchemaCache
from k2app.ingest.service import Ingest, Parts
from k2app.lake.tables import Name
from k2app.market.sequence_states import States
from k2app.metrics import Metrics
from k2app.settings import FlushSettings
from k2app.stream.batches import BatchPositions
from tests.pipeline.homes import counting, trades
from tests.unit.ingest.ingest_messages import LOG, batch_of, messages, source

HERE = TP(source().topic.name, 0)

WITHIN_S = 60.0
"""Deadline of each step: only a hang meets it."""


class Log:
    """A log of one partition, read by hand."""

    def __init__(self):
        self.positions = BatchPositions()

    async def earliest_offsets(self, *partitions):
        return dict.fromkeys(partitions, 0)

    def highwater(self, _tp):
        return 0

    def next_batch(self, values):
        """These values, where the partition is read now."""
        ((_, position, epoch),) = self.positions.ready()
        batch = replace(batch_of(values, first=position), position=position, epoch=epoch)
        assert self.positions.fetched(batch)
        return batch


class EmptyLake:
    """Restores partitions of a lake that has nothing; a batch is read as soon as it is `open`."""

    def __init__(self):
        self.asked, self.open = threading.Event(), threading.Event()
        self.open.set()
        self.error = None

    async def restore(self, wanted):
        if self.error is not None:
            raise self.error
        return [Partition(LOG, one, number, 0, States.empty(), 0, 30) for one, number in wanted]

    def past(self, _part):
        self.asked.set()
        assert self.open.wait(WITHIN_S)


class Registry:
    """Knows the newest schema of trades, under every id."""

    def schema(self, _id):
        return schemas.newest("trade")


class Lake:
    """Takes flushes, or fails with `error` once it is told to answer."""

    trouble = None

    def __init__(self, error):
        self.error = error
        self.sent = []
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def flush(self, _buffer, cuts, *_):
        self.sent += [(cut.range.start, cut.range.end) for cut in cuts]
        self.asked.set()
        await self.answers.wait()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [FencedError("another was here"), TransientError("no answer"), CommitUnknownError("no answer")],
    ids=["fenced", "transient", "unknown"],
)
async def test_flush_that_waited_behind_a_failed_one_is_not_tried(error):
    """Partitions are given up, and their last flush fails: what follows it would begin beyond the lake's end."""
    log, lake, crashes = Log(), Lake(error), []
    ingest = ingest_into(lake, crashes)
    ingest.start(log)
    try:
        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5)))), acknowledge)
        first = asyncio.create_task(ingest.revoke({HERE}))
        await asyncio.wait_for(lake.asked.wait(), WITHIN_S)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 3, first=6)))), acknowledge)
        second = asyncio.create_task(ingest.flush())
        await asyncio.sleep(0)
        lake.answers.set()
        await asyncio.wait_for(asyncio.gather(first, second), WITHIN_S)
        assert [(0, 5)] == lake.sent

        lake.error = None
        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 8)))), acknowledge)
        await ingest.flush()
        assert [(0, 5), (0, 8)] == lake.sent
        assert [] == crashes
    finally:
        await ingest.stop()


async def test_flush_that_waits_behind_the_last_one_is_not_tried():
    """Partitions are given up: what was read during their last flush is committed by whoever has them next."""
    log, lake, crashes = Log(), Lake(None), []
    ingest = ingest_into(lake, crashes)
    ingest.start(log)
    try:
        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5)))), acknowledge)
        last = asyncio.create_task(ingest.revoke({HERE}))
        await asyncio.wait_for(lake.asked.wait(), WITHIN_S)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 3, first=6)))), acknowledge)
        follows = asyncio.create_task(ingest.flush())
        await asyncio.sleep(0)
        lake.answers.set()
        await asyncio.wait_for(asyncio.gather(last, follows), WITHIN_S)
        assert [(0, 5)] == lake.sent

        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 8)))), acknowledge)
        await ingest.flush()
        assert [(0, 5), (0, 8)] == lake.sent
        assert [] == crashes
    finally:
        await ingest.stop()


async def test_full_buffer_is_flushed_after_one_that_waited_behind_a_failed_flush():
    """A flush was due, and what it would have committed was thrown away: the next full buffer makes one due again."""
    log, lake, restorer, crashes = Log(), Lake(TransientError("no answer")), EmptyLake(), []
    ingest = ingest_into(lake, crashes, restorer, max_rows=5)
    ingest.start(log)
    try:
        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 4)))), acknowledge)
        failing = asyncio.create_task(ingest.flush())
        await asyncio.wait_for(lake.asked.wait(), WITHIN_S)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5, first=5)))), acknowledge)
        # Another batch is on its way when the flush fails.
        restorer.asked.clear()
        restorer.open.clear()
        late = asyncio.create_task(
            ingest.accept(log.next_batch(messages(trades(counting(1, 1, first=10)))), acknowledge)
        )
        await until(restorer.asked.is_set)
        lake.answers.set()
        await until(lambda: ingest.trouble is not None)
        await asyncio.sleep(0)
        restorer.open.set()
        await asyncio.wait_for(asyncio.gather(failing, late), WITHIN_S)
        lake.error = None
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5)))), acknowledge)
        await until(lambda: [(0, 4), (0, 5)] == lake.sent)
        assert [] == crashes
    finally:
        await ingest.stop()


async def test_cut_that_did_not_land_is_not_drained():
    """A partition counts as flushed from the cut on; until the lake has it, nothing is done."""
    log, lake, crashes = Log(), Lake(TransientError("no answer")), []
    ingest = ingest_into(lake, crashes)
    ingest.start(log)
    looked = []
    try:
        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5)))), acknowledge)
        flushing = asyncio.create_task(ingest.flush())
        await asyncio.wait_for(lake.asked.wait(), WITHIN_S)
        looking = asyncio.create_task(look_at(ingest, {HERE: 5}, looked))
        lake.answers.set()
        await asyncio.wait_for(flushing, WITHIN_S)
        lake.error = None
        await until(lambda: ingest.reading)
        assert not any(looked)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5)))), acknowledge)
        await ingest.flush()
        assert ingest.drained({HERE: 5})
        looking.cancel()
        assert [] == crashes
    finally:
        await ingest.stop()


async def look_at(ingest, ends, looked):
    """Note at every turn of the loop whether it says that it is done."""
    while True:
        looked.append(ingest.drained(ends))
        await asyncio.sleep(0)


async def test_failure_of_the_last_flush_that_nobody_expected_gives_the_partitions_up():
    """It is told, and the partitions are not kept for it."""
    log, lake, crashes = Log(), Lake(OperatorError("a newer version of K2 added it")), []
    ingest = ingest_into(lake, crashes)
    ingest.start(log)
    try:
        await ingest.assign({HERE})
        await until(lambda: ingest.reading)
        await ingest.accept(log.next_batch(messages(trades(counting(1, 5)))), acknowledge)
        lake.answers.set()
        with pytest.raises(OperatorError, match="newer version"):
            await ingest.revoke({HERE})
        assert [] == log.positions.ready()
        assert 0 == ingest.uncommitted
    finally:
        await ingest.stop()


async def test_partition_that_could_not_be_restored_and_went_to_others_is_no_trouble():
    """What was waited for is not needed any more."""
    log, restorer, crashes = Log(), EmptyLake(), []
    restorer.error = TransientError("the catalog is away")
    ingest = ingest_into(Lake(None), crashes, restorer)
    ingest.start(log)
    try:
        await ingest.assign({HERE})
        await until(lambda: ingest.trouble is not None)
        await ingest.revoke({HERE})
        await until(lambda: ingest.trouble is None)
        assert ingest.reading
        assert [] == crashes
    finally:
        await ingest.stop()


def ingest_into(lake, crashes, restorer=None, max_rows=1_000_000):
    async def crash(error):
        crashes.append(error)

    return Ingest(
        Parts(
            Name.TRADES,
            {HERE.topic: source()},
            FlushSettings(max_rows=max_rows, interval_s=3_600.0),
            SchemaCache(Registry()),
            lake,
            restorer or EmptyLake(),
            Metrics(CollectorRegistry()),
            crash,
        )
    )


async def acknowledge():
    """What is acknowledged is not looked at here."""


async def until(holds):
    """Let the ingest go on until something holds."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110 - the ingest has no event for it
            await asyncio.sleep(0.001)
