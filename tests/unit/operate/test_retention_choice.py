"""What retention chooses to trim, against a loop over batches."""

from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.stream.log_space import StoredBatch
from k2app.stream.retention import HOUR_US, STEP_BYTES, Cut, Keep, Place, choose

NOW_US = 1_000 * HOUR_US

BATCHES = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.integers(1, 50)), max_size=6)
"""Records, hours ago, bytes."""


def stored(batches):
    found, at = [], 0
    for records, hours, size in batches:
        at += records
        found.append(StoredBatch(at, records, NOW_US - hours * HOUR_US, size))
    return found


def expected(partitions, keep, used_bytes):
    """Batch by batch: each partition's old beginning goes, then the oldest first batch of all, until it fits."""
    left = {place: list(batches) for place, batches in partitions.items()}
    for batches in left.values():
        while batches and batches[0].time_us < NOW_US - keep.hours * HOUR_US:
            used_bytes -= batches.pop(0).size_bytes
    newest = dict.fromkeys(left, 0)
    for place, batches in partitions.items():
        for batch in batches[: len(batches) - len(left[place])]:
            newest[place] = max(newest[place], batch.time_us)
    while keep.size_bytes and used_bytes > keep.size_bytes and any(left.values()):
        place = min((p for p in left if left[p]), key=lambda p: (max(newest[p], left[p][0].time_us), p))
        batch = left[place].pop(0)
        newest[place] = max(newest[place], batch.time_us)
        used_bytes -= batch.size_bytes
    return {place: len(partitions[place]) - len(batches) for place, batches in left.items()}


@settings(max_examples=200, deadline=None)
@given(
    partitions=st.lists(BATCHES, max_size=3),
    hours=st.integers(0, 9),
    limit=st.integers(0, 200),
    other_bytes=st.integers(0, 100),
)
def test_what_goes_is_old_or_too_much(partitions, hours, limit, other_bytes):
    """By age, then by size over all partitions, the oldest first; what goes of a partition is its beginning."""
    by_place = {Place("t", n): stored(batches) for n, batches in enumerate(partitions)}
    used = other_bytes + sum(b.size_bytes for batches in by_place.values() for b in batches)
    keep = Keep(hours, limit)
    cuts = choose(by_place, keep, used, NOW_US)
    wanted = {place: count for place, count in expected(by_place, keep, used).items() if count}
    assert wanted == {cut.place: len(cut.batches) for cut in cuts}
    for cut in cuts:
        assert list(cut.batches) == by_place[cut.place][: len(cut.batches)]


def test_a_young_batch_keeps_what_came_after_it():
    """The clock may have been set back: nothing is trimmed out of the middle."""
    batches = [StoredBatch(1, 1, NOW_US, 1), StoredBatch(2, 1, 0, 1)]
    assert [] == choose({Place("t", 0): batches}, Keep(1, 0), 2, NOW_US)


def test_a_large_cut_is_made_in_steps():
    """Whoever appends waits for one step at most."""
    batches = tuple(StoredBatch(n + 1, 1, 0, STEP_BYTES // 2) for n in range(5))
    assert [2, 4, 5] == list(Cut(Place("t", 0), batches).steps())
