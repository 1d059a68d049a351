import numpy as np
import pyarrow as pa
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from k2app.stream.batches import BatchPositions
from k2app.stream.record_batch import RecordBatch

TP0 = TP("t", 0)


def batch(start, n, epoch):
    lengths = np.ones(n, np.int64)
    return RecordBatch(
        "log", "t", 0, np.arange(start, start + n), np.zeros(n, np.int64), pa.py_buffer(b"v" * n),
        np.arange(n), lengths, pa.py_buffer(b""), np.zeros(n, np.int64), np.zeros(n, np.int64), epoch,
    )  # fmt: skip


def epoch_of(positions):
    return positions.ready()[0][2]


def test_partition_without_position_is_not_fetched():
    """Assigned is not enough: nothing is read before its reader said from where."""
    positions = BatchPositions()
    assert [] == positions.ready()
    positions.rewind(TP0, 7)
    assert [(TP0, 7, epoch_of(positions))] == positions.ready()


def test_what_was_fetched_before_a_rewind_is_thrown_away():
    """A batch of an older epoch moves nothing, counts for nothing, and is told apart."""
    positions = BatchPositions()
    positions.rewind(TP0, 0)
    old = batch(0, 5, epoch_of(positions))
    positions.rewind(TP0, 0)
    assert not positions.fetched(old)
    assert not positions.current(old)
    positions.acked(old)
    assert positions.committable(TP0) is None
    assert 0 == positions.ready()[0][1]


def test_committable_is_last_acknowledged_plus_one():
    """Nothing is committable before an acknowledgement, and never beyond one."""
    positions = BatchPositions()
    positions.rewind(TP0, 0)
    first, second = batch(0, 5, epoch_of(positions)), batch(9, 1, epoch_of(positions))
    for one in (first, second):
        assert positions.fetched(one)
        positions.taken(one)
    assert positions.committable(TP0) is None
    positions.acked(first)
    assert 5 == positions.committable(TP0)
    positions.acked(second)
    assert 10 == positions.committable(TP0)


def test_where_reading_begins_is_committable():
    """The lake has what is below: a worker that died before it could say so leaves no lag behind for ever."""
    positions = BatchPositions()
    positions.rewind(TP0, 7)
    assert 7 == positions.committable(TP0)
    positions.rewind(TP0, 3)
    assert 3 == positions.committable(TP0)
    positions.rewind(TP0, 0)
    assert positions.committable(TP0) is None


def test_what_was_acknowledged_stays_committable_until_the_partition_is_released():
    """A worker that stops forgets its partitions after their last flush, and commits after that."""
    positions = BatchPositions()
    positions.rewind(TP0, 0)
    one = batch(0, 5, epoch_of(positions))
    positions.fetched(one)
    positions.acked(one)
    positions.forget([TP0])
    assert 5 == positions.committable(TP0)
    positions.acked(one)
    positions.release({TP0})
    assert positions.committable(TP0) is None


def test_fetching_stops_while_batches_wait():
    """Two waiting batches of a partition, or too many bytes of all, hold fetching back until one is taken."""
    positions = BatchPositions(waiting_limit=2, waiting_bytes_limit=8)
    positions.rewind(TP0, 0)
    epoch = epoch_of(positions)
    waiting = [batch(0, 2, epoch), batch(2, 2, epoch)]
    for one in waiting:
        assert positions.fetched(one)
    assert [] == positions.ready()
    positions.taken(waiting[0])
    assert [(TP0, 4, epoch)] == positions.ready()
    large = batch(4, 6, epoch)
    assert positions.fetched(large)
    positions.rewind(TP("t", 1), 0)
    assert [] == positions.ready()


def test_revoked_partition_is_forgotten():
    """Nothing of it is fetched, current or committable any more."""
    positions = BatchPositions()
    positions.rewind(TP0, 0)
    one = batch(0, 5, epoch_of(positions))
    positions.fetched(one)
    positions.forget([TP0])
    assert [] == positions.ready()
    assert not positions.current(one)
    assert positions.committable(TP0) is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("fetch"), st.integers(1, 9)),
            st.tuples(st.just("rewind"), st.integers(0, 20)),
            st.tuples(st.just("late"), st.integers(1, 9)),
        )
    )
)
def test_every_record_is_delivered_once_per_epoch(steps):
    """Rewinds and late fetches in any order: what is delivered is an unbroken run from the last rewind on."""
    positions, delivered, expected = BatchPositions(waiting_limit=10**6), [], 0
    positions.rewind(TP0, 0)
    fetch = positions.ready()[0]
    for step, n in steps:
        if step == "rewind":
            positions.rewind(TP0, n)
            delivered, expected = [], n
            continue
        if step == "fetch":
            fetch = positions.ready()[0]
        found = batch(fetch[1], n, fetch[2])
        if step == "late" and fetch != positions.ready()[0] and fetch[2] == positions.ready()[0][2]:
            continue  # one fetch is under way at a time: this one has been delivered
        if positions.fetched(found):
            delivered += found.offsets.tolist()
    assert list(range(expected, expected + len(delivered))) == delivered
