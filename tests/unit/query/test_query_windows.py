"""Windows of a range, and rows taken out of them, against slow ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from k2app.query.reading.taking import take_rows
from k2app.query.reading.windows import SLACK, groups

COUNTS = st.dictionaries(st.integers(0, 50), st.integers(0, 30), max_size=20)


@given(counts=COUNTS, rows=st.integers(1, 60))
def test_groups_hold_every_bucket_once_in_order_and_few_rows(counts, rows):
    """At most so many, unless one bucket alone has more."""
    found = list(groups(counts, rows))
    assert sorted(counts) == [bucket for group in found for bucket in group]
    assert all(len(group) == 1 or sum(counts[b] for b in group) <= rows for group in found)


@given(each=st.integers(1, 9), buckets=st.integers(100, 400), parts=st.integers(1, 5))
def test_groups_of_even_buckets_are_even_and_as_few_as_can_be(each, buckets, parts):
    """A little more than a window does not become a window and a crumb: every one of them reads the files."""
    total = each * buckets
    rows = -(-total // parts) * SLACK // (SLACK - 1) + each
    found = [len(group) for group in groups(dict.fromkeys(range(buckets), each), rows)]
    assert len(found) <= parts
    assert max(found) - min(found) <= 2


VALUES = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(max_size=3),
        "one": st.just("x"),
        "map": st.none()
        | st.lists(st.tuples(st.text(max_size=2), st.none() | st.text(max_size=2)), max_size=3),
        "full": st.lists(st.tuples(st.text(max_size=2), st.none() | st.text(max_size=2)), max_size=3),
        "list": st.none() | st.lists(st.text(max_size=2), max_size=3),
    }
)

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "one": pa.dictionary(pa.int32(), pa.string()),
        "map": pa.map_(pa.string(), pa.string()),
        "full": pa.map_(pa.string(), pa.string()),
        "list": pa.list_(pa.string()),
    }
)


@given(rows=st.lists(VALUES, min_size=1, max_size=8), data=st.data(), begin=st.integers(0, 3))
def test_rows_that_are_taken_are_the_rows(rows, data, begin):
    """Of slices too; maps, nulls, texts that every row has."""
    table = pa.Table.from_pylist(rows, schema=SCHEMA).combine_chunks().slice(min(begin, len(rows) - 1))
    numbers = data.draw(st.lists(st.integers(0, table.num_rows - 1), max_size=12))
    taken = take_rows(table, np.array(numbers, np.int64))
    taken.validate(full=True)
    assert SCHEMA == taken.schema
    every = table.to_pylist()
    assert [every[number] for number in numbers] == taken.to_pylist()
