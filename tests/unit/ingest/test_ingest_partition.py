from dataclasses import replace

import numpy as np
import pytest

from k2app.ingest.partition import Partition
from k2app.ingest.rows import process
from k2app.ingest.states import Watermark
from k2app.lake.floors import Fingerprint
from k2app.market.sequence_states import States
from tests.pipeline.homes import DAY_US, OPEN_US, counting, trades
from tests.unit.ingest.ingest_messages import LOG, LOG_TIME_US, WRITERS, batch_of, messages, source

MONDAY = OPEN_US // DAY_US


def partition(*, at=0, keep_days=30, exchange="asx", **given):
    return Partition(LOG, source(exchange=exchange), 0, at, States.empty(), at, keep_days, **given)


def take(part, values, **where):
    batch = batch_of(values, **({"first": part.next_offset} | where))
    part.take(batch, process(batch, part.source, part.states, WRITERS, {}, part.dead))
    return batch


def values(symbols, each, *, first=1, day=0):
    return messages(trades(counting(symbols, each, first), start_us=OPEN_US + day * DAY_US))


def test_nothing_taken_is_nothing_to_cut():
    """There is never an empty flush: not at the start, not after a cut."""
    part = partition()
    assert part.cut() is None
    take(part, values(1, 1))
    assert part.cut() is not None
    assert part.cut() is None


def test_cut_is_what_was_taken_since_the_last_one():
    """Ranges follow each other without a gap, each with the fingerprint of its last record."""
    part = partition(at=7)
    first = take(part, values(2, 3))
    cut = part.cut()
    assert (7, 13, 0) == (cut.range.start, cut.range.end, cut.range.skipped)
    assert Fingerprint(*first.fingerprint(5)) == cut.range.fingerprint
    assert LOG_TIME_US + 12 == cut.range.fingerprint.timestamp_us
    take(part, values(2, 1, first=4))
    take(part, values(2, 1, first=5))
    assert (13, 17) == (part.cut().range.start, part.next_offset)


def test_more_arrives_while_a_cut_is_on_its_way():
    """A cut keeps the states of its own end: what is taken later goes into the next one."""
    part = partition()
    take(part, values(2, 2))
    cut = part.cut()
    digest = cut.states.digest()
    take(part, values(3, 1, first=3))
    change = cut.change("table")
    assert Watermark(LOG, "table", 4, digest) == change.watermark
    assert {f"{MONDAY}|S0": 2, f"{MONDAY}|S1": 2} == {k: v[1] for k, v in change.changed.items()}
    later = part.cut().change("table")
    assert {f"{MONDAY}|S{i}": 3 for i in range(3)} == {k: v[1] for k, v in later.changed.items()}
    assert digest != later.watermark.digest


def test_only_changed_states_are_written():
    """One write per symbol that the flush touched, none for the others."""
    part = partition()
    take(part, values(5, 1))
    part.cut()
    take(part, messages(trades([("S3", 2)])))
    assert {f"{MONDAY}|S3"} == set(part.cut().change("t").changed)


def test_offsets_that_the_log_skipped_are_counted():
    """Compacted offsets within a range are no rows and no loss: the range says how many there are."""
    part = partition()
    take(part, values(1, 3), offsets=[0, 1, 5])
    take(part, values(1, 2, first=4), offsets=[9, 10])
    cut = part.cut()
    assert (0, 11, 6) == (cut.range.start, cut.range.end, cut.range.skipped)
    take(part, values(1, 1, first=6), offsets=[12])
    assert (11, 13, 1) == ((r := part.cut().range).start, r.end, r.skipped)


def test_hole_goes_into_the_first_range_only():
    """A hole given up on purpose is recorded once, where it ends."""
    part = partition(at=7, hole=(4, 7))
    take(part, values(1, 1))
    assert (4, 7) == part.cut().range.hole
    take(part, values(1, 1, first=2))
    assert part.cut().range.hole is None


@pytest.mark.parametrize(
    ("first", "n", "expected"), [(0, 5, None), (3, 2, None), (3, 5, [5, 6, 7]), (5, 2, [5, 6]), (9, 1, [9])]
)
def test_unseen_part_of_a_batch(first, n, expected):
    """What is below the next offset was delivered again and is dropped; the rest goes through."""
    found = partition(at=5).unseen(batch_of([b"v"] * n, first=first))
    assert expected == (None if found is None else found.offsets.tolist())


def test_unseen_part_starts_in_a_skipped_stretch():
    """The next offset need not exist in the log."""
    found = partition(at=5).unseen(batch_of([b"v"] * 4, offsets=[1, 4, 8, 9]))
    assert [8, 9] == found.offsets.tolist()


def test_states_of_old_dates_are_evicted_after_their_flush():
    """A closed date leaves the states and, with the next cut, the tables; the new indices name the same states."""
    part = partition(keep_days=2)
    for day in range(4):
        take(part, values(2, 1, day=day))
    first = part.cut()
    # All of them changed in that flush: they stay until it is over.
    assert (8, ()) == (len(part.states), first.removed)
    assert MONDAY + 1 == part.horizon
    take(part, values(2, 1, first=2, day=3))
    second = part.cut()
    assert {f"{MONDAY + 3}|S0", f"{MONDAY + 3}|S1"} == set(second.change("t").changed)
    assert () == second.removed
    kept = {part.states.keys.text(i) for i in range(len(part.states))}
    assert {f"{MONDAY + d}|S{s}" for d in (1, 2, 3) for s in (0, 1)} == kept
    take(part, values(1, 1, first=3, day=3))
    third = part.cut().change("t")
    assert {f"{MONDAY}|S0", f"{MONDAY}|S1"} == set(third.removed)
    assert {f"{MONDAY + 3}|S0": 3} == {k: v[1] for k, v in third.changed.items()}
    assert part.states.digest() == third.watermark.digest


def test_old_date_that_is_still_written_is_not_evicted():
    """A late load of an old date keeps its state for as long as it goes on."""
    part = partition(keep_days=1)
    take(part, values(1, 1, day=5))
    take(part, values(1, 1, day=0))
    part.cut()
    for number in (2, 3):
        take(part, values(1, 1, first=number, day=0))
        assert () == part.cut().removed
        assert number == part.states.get("S0", MONDAY).high


def test_continuous_scope_is_never_evicted():
    """A numbering without dates has no past to close."""
    part = partition(keep_days=1, exchange="binance")
    binance = trades([("BTCUSDT", 1)])
    for name, value in (("exchange", "binance"), ("asset_class", "crypto")):
        binance = binance.set_column(binance.column_names.index(name), name, [[value]])
    part.source = replace(part.source, topic=source(exchange="binance").topic)
    batch = batch_of(messages(binance), of=part.source)
    part.take(batch, process(batch, part.source, part.states, WRITERS, {}))
    part.cut()
    take_again = batch_of(messages(binance), of=part.source, first=1)
    part.take(take_again, process(take_again, part.source, part.states, WRITERS, {}))
    part.cut()
    assert 1 == len(part.states)


def test_restored_partition_writes_what_the_table_lacks():
    """States that were rebuilt are dirty, those that fell away removed: the next flush writes both."""
    part = partition(dirty={0, 1}, removed=["20000|OLD"])
    part.states = process(batch_of(values(2, 1)), part.source, States.empty(), WRITERS, {}).states
    take(part, values(1, 1, first=2))
    change = part.cut().change("t")
    assert {f"{MONDAY}|S0", f"{MONDAY}|S1"} == set(change.changed)
    assert ("20000|OLD",) == change.removed
    assert np.int64(0) == part.records
