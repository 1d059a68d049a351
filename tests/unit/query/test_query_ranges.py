"""Ranges against sets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from k2app.query.gaps.ranges import outside, union

RANGES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda r: (r[0], r[0] + r[1])), max_size=6
)


def numbers(ranges):
    return {n for start, end in ranges for n in range(start, end + 1)}


@given(ranges=RANGES)
def test_a_union_has_the_same_numbers_and_no_neighbours(ranges):
    """Disjoint, ascending, not touching."""
    joined = union(ranges)
    assert numbers(ranges) == numbers(joined)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(joined))


@given(one=RANGES.filter(bool), taken=RANGES)
def test_what_is_outside_is_the_difference_of_sets(one, taken):
    """Whatever overlaps whatever; disjoint, ascending."""
    left = list(outside(one[0], union(taken)))
    assert numbers(one[:1]) - numbers(taken) == numbers(left)
    assert left == union(left)
