"""Retention on a real log file."""

import os
import sqlite3
import threading
from contextlib import closing

import pytest

from k2app.stream.log_file import LogFile
from k2app.stream.log_records import records_from_pairs
from k2app.stream.log_space import LogSpace
from k2app.stream.retention import HOUR_US, Floor, Keep, Place, Retention, compactable, plan, trim
from tests.processes import ended

TOPIC = "market.equities.trades.asx"
REFERENCE = "market.equities.reference_data.asx"
CHANGELOG = "k2-market.equities.trades.asx-sequences-changelog"
NOW_US = 1_000 * HOUR_US
EVERYTHING = {"max_rows": 10**9, "max_bytes": 10**12}


@pytest.fixture
def log(tmp_path):
    with closing(LogSpace(tmp_path / "log.db")) as log:
        log.create_topic(TOPIC, 2)
        log.create_topic(REFERENCE, 1, compacted=True)
        log.create_topic(CHANGELOG, 1, compacted=True)
        yield log


def fill(log, hours_ago, records=10, size=10, topic=TOPIC, partition=0, key=b"k"):
    """Append one stored batch."""
    pairs = [(key, os.urandom(size)) for _ in range(records)]
    log.append(topic, [records_from_pairs(partition, pairs)], time_us=NOW_US - hours_ago * HOUR_US)


def floor(log, next_offset, topic=TOPIC, partition=0):
    batch = log.read(topic, partition, next_offset - 1, max_rows=1, max_bytes=1)
    return {(topic, partition): Floor(next_offset, batch.fingerprint(0))}


def offsets(log, topic=TOPIC, partition=0, start=0):
    batch = log.read(topic, partition, start, **EVERYTHING)
    return [] if batch is None else batch.offsets.tolist()


def cut(log, floors, hours=0.0, size_bytes=0):
    cuts = plan(log, floors, Keep(hours, size_bytes), NOW_US)
    trim(log, cuts)
    return [(c.place, c.before_offset) for c in cuts]


def test_what_is_old_and_in_the_lake_goes(log):
    """Batches of 10: those below the floor and older than the limit; the rest stays, and offsets go on."""
    for hours in (9, 7, 5, 3):
        fill(log, hours)
    fill(log, 9, partition=1)
    assert [(Place(TOPIC, 0), 20)] == cut(log, floor(log, 35), hours=6)
    assert list(range(20, 40)) == offsets(log)
    assert list(range(10)) == offsets(log, partition=1), "no floor: the lake has nothing of it"
    assert {0: 50} == log.append(TOPIC, [records_from_pairs(0, [(b"k", b"v")] * 10)])


@pytest.mark.parametrize("next_offset", [1, 9, 10, 11, 20, 21, 40])
def test_the_record_before_the_floor_stays(log, next_offset):
    """It carries the fingerprint by which a worker knows the log again; nothing at or above the floor goes."""
    for _ in range(4):
        fill(log, 9)
    there = floor(log, next_offset)
    mark = log.read(TOPIC, 0, next_offset - 1, max_rows=1, max_bytes=1).fingerprint(0)
    cut(log, there)
    kept = log.read(TOPIC, 0, next_offset - 1, max_rows=1, max_bytes=1)
    assert (next_offset - 1, mark) == (kept.first_offset, kept.fingerprint(0))
    assert list(range(next_offset, 40)) == offsets(log, start=next_offset)
    assert log.bounds([TOPIC])[TOPIC, 0][0] <= next_offset - 1


def test_a_log_that_is_not_the_lakes_is_left_alone(log):
    """Restored from an old copy and written on: it may hold what the lake does not."""
    for _ in range(3):
        fill(log, 9)
    assert [] == cut(log, {(TOPIC, 0): Floor(25, (1, 2))})
    assert [] == cut(log, {(TOPIC, 0): Floor(31, (1, 2))})
    assert list(range(30)) == offsets(log)


def test_size_limit_takes_the_oldest_of_all_partitions(log):
    """Above the limit young batches go too, oldest first, and the file shrinks to about the limit."""
    for hours in range(20, 0, -1):
        fill(log, hours, size=100_000, partition=hours % 2)
    floors = floor(log, 100) | floor(log, 100, partition=1)
    before = log.usage()
    limit = before.file_bytes // 2
    cut(log, floors, hours=1_000, size_bytes=limit)
    after = log.usage()
    assert after.file_bytes <= limit < before.file_bytes
    assert after.free_bytes == 0
    first = [log.time_us_at(TOPIC, p, 0) for p in range(2)]
    assert abs(first[0] - first[1]) <= HOUR_US
    assert log.path.stat().st_size == after.file_bytes


def test_space_is_given_back_many_pages_at_a_time(log):
    """A transaction for each page would take minutes for a gigabyte."""
    for _ in range(5):
        fill(log, 9, size=100_000)
    log.trim(TOPIC, 0, 50)
    free = log.usage().free_bytes
    assert 20 == log.give_back(20)
    assert 20 * 16_384 == free - log.usage().free_bytes


def test_the_file_of_an_older_version_keeps_working(tmp_path):
    """It does not shrink, but what was trimmed is used again."""
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma page_size = 16384")
        db.execute("pragma auto_vacuum = none")
        db.execute("create table old (x)")
    with closing(LogSpace(path)) as log:
        log.create_topic(TOPIC, 1)
        for _ in range(10):
            fill(log, 9, size=100_000)
        before = log.usage()
        assert not before.shrinks
        cut(log, floor(log, 100))
        trimmed = log.usage()
        assert trimmed.file_bytes == before.file_bytes
        assert trimmed.used_bytes < before.used_bytes / 2
        for _ in range(5):
            fill(log, 9, size=100_000)
        assert log.usage().file_bytes == before.file_bytes


def test_compacted_topics_are_never_trimmed(log):
    """Reference data keeps the last record of each key below the floor and all above, a changelog of every key."""
    for key in (b"a", b"b", b"a", b"b"):
        fill(log, 9, records=5, topic=REFERENCE, key=key)
        fill(log, 9, records=5, topic=CHANGELOG, key=key)
    floors = floor(log, 17, topic=REFERENCE)
    assert [] == cut(log, floors)
    assert {Place(REFERENCE, 0): 16, Place(CHANGELOG, 0): 20} == compactable(log, floors)
    one_pass(log, floors)
    assert [9, 14, 15, 16, 17, 18, 19] == offsets(log, REFERENCE)
    assert [14, 19] == offsets(log, CHANGELOG)


def one_pass(log, floors):
    async def fail(error):
        raise error

    Retention(
        lambda: LogSpace(log.path), lambda: floors, lambda: True, Keep(0, 0), lambda: NOW_US, fail
    ).once()


def test_a_reader_in_the_middle_is_not_disturbed(log):
    """Whatever is trimmed while it reads, a reader gets consecutive offsets from wherever the log begins."""
    for _ in range(60):
        fill(log, 9, records=10, size=2_000)
    problems, done = [], threading.Event()

    def read():
        with closing(LogFile(log.path)) as reader:
            while not done.is_set():
                at = reader.bounds([TOPIC])[TOPIC, 0][0]
                while (batch := reader.read(TOPIC, 0, at, max_rows=15, max_bytes=10**9)) is not None:
                    jumped = batch.offsets.tolist() != list(range(batch.first_offset, batch.next_offset))
                    trimmed = reader.bounds([TOPIC])[TOPIC, 0][0]
                    if jumped or (batch.first_offset > at and trimmed < batch.first_offset):
                        problems.append((at, batch.offsets.tolist()))
                    at = batch.next_offset
                if at != 600:
                    problems.append(at)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for next_offset in range(11, 601, 10):
            cut(log, floor(log, next_offset))
    finally:
        done.set()
        ended(*readers)
    assert [] == problems
    assert list(range(590, 600)) == offsets(log)
