"""However a partition's messages are cut into batches and flushes, the lake is the same."""

from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.ingest.buffer import Buffer
from k2app.ingest.partition import Partition
from k2app.ingest.rows import process
from k2app.lake.tables import Name
from k2app.market.sequence_states import States
from tests.pipeline.homes import DAY_US, OPEN_US, trades
from tests.unit.ingest.ingest_messages import LOG, WRITERS, batch_of, messages, source

RECORD = st.one_of(
    st.tuples(st.sampled_from(["A", "B"]), st.none() | st.integers(1, 9), st.integers(0, 1)),
    st.sampled_from([None, b"", b"broken", b"\0\0\0\0\x09body"]),
)
"""A trade (symbol, sequence, day), or a value that is none."""


async def acknowledge():
    """Nothing to tell."""


def values_of(records):
    good = [r for r in records if isinstance(r, tuple)]
    rows = [trades([r[:2]], start_us=OPEN_US + r[2] * DAY_US + 1_000 * i) for i, r in enumerate(good)]
    encoded = iter(messages(pa.concat_tables(rows)) if rows else [])
    return [next(encoded) if isinstance(r, tuple) else r for r in records]


def ingest(values, offsets, cuts, flushes):
    """Rows, dead letters, gap events, covered ranges and digest, with batches and flushes cut at these places."""
    part = Partition(LOG, source(), 0, 0, States.empty(), 0, 30)
    buffer, ranges = Buffer(Name.TRADES), []
    bounds = sorted({0, len(values), *(c for c in cuts if c < len(values))})
    for start, end in pairwise(bounds):
        batch = batch_of(values[start:end], offsets=offsets[start:end])
        done = process(batch, part.source, part.states, WRITERS, {})
        part.take(batch, done)
        buffer.add(done, len(batch), acknowledge, 0.0)
        if start in flushes and (cut := part.cut()) is not None:
            ranges.append(cut.range)
    if (cut := part.cut()) is not None:
        ranges.append(cut.range)
    return [t.to_pylist() for t in buffer.tables()], ranges, part.states.digest()


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(RECORD, max_size=25),
    skips=st.lists(st.integers(0, 2), min_size=25, max_size=25),
    cuts=st.sets(st.integers(1, 24)),
    flushes=st.sets(st.integers(0, 24)),
)
def test_batches_and_flushes_of_any_size_give_the_same_lake(records, skips, cuts, flushes):
    """Every offset is a row or a dead letter, once; flags, gap events and states do not depend on the cuts."""
    values = values_of(records)
    offsets = [sum(skips[: i + 1]) + i for i in range(len(values))]
    whole, (*_, last), digest = (
        ingest(values, offsets, set(), set()) if values else ([[], [], []], [None], None)
    )
    parts, ranges, digest_of_parts = ingest(values, offsets, cuts, flushes)
    assert whole == parts
    if not values:
        return
    assert digest == digest_of_parts
    rows, letters, _ = parts
    assert offsets == sorted(r["offset"] for r in (*rows, *letters))
    assert (0, last.end) == (ranges[0].start, ranges[-1].end)
    assert all(a.end == b.start for a, b in pairwise(ranges))
    assert last.skipped == sum(r.skipped for r in ranges)
    assert last.fingerprint == ranges[-1].fingerprint
