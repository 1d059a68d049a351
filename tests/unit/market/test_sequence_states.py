"""The store of sequence states."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from k2app.market.sequence_flags import FLAGS
from k2app.market.sequence_groups import Arrivals
from k2app.market.sequence_ranges import RangeSet
from k2app.market.sequence_rules import Rule
from k2app.market.sequence_states import State, States
from k2app.market.sequences import check
from tests.processes import WITHIN_S

RULE = Rule(kind="contiguous", scope="trading_date", first=1)
INT64 = st.integers(-(2**63), 2**63 - 1)

PRIMITIVES = st.dictionaries(
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.text(max_size=4)).map(lambda key: f"{key[0]}|{key[1]}"),
    st.tuples(
        INT64,
        INT64,
        INT64,
        st.integers(0, 9),
        st.lists(st.integers(0, 99), min_size=len(FLAGS), max_size=len(FLAGS)),
        st.lists(st.tuples(INT64, INT64).map(list), max_size=3),
        st.lists(st.tuples(INT64, INT64).map(list), max_size=2),
    ).map(list),
    max_size=12,
)


def states_of(**numbers):
    """States of symbols on day 100, each with these numbers seen."""
    rows = [(symbol, number) for symbol, seen in numbers.items() for number in seen]
    ones = np.ones(len(rows), np.int64)
    arrivals = Arrivals(
        pa.array([symbol for symbol, _ in rows], pa.string()),
        (ones * 100).astype(np.int32),
        np.array([number for _, number in rows], np.int64),
        ones.astype(np.bool_),
        ones,
    )
    return check(arrivals, States.empty(), RULE).states


@settings(max_examples=100, deadline=None)
@given(PRIMITIVES)
def test_states_survive_json(primitives):
    """What comes back from primitives is what went in, whatever the symbols hold."""
    states = States.from_primitives(json.loads(json.dumps(primitives)))
    assert primitives == states.to_primitives()
    backwards = States.from_primitives(dict(reversed(primitives.items())))
    assert states.digest() == backwards.digest()


@settings(max_examples=100, deadline=None)
@given(PRIMITIVES.filter(bool), st.data())
def test_any_change_shows_in_the_digest(primitives, data):
    """One number changed anywhere is another digest."""
    key = data.draw(st.sampled_from(sorted(primitives)))
    field = data.draw(st.integers(0, 3))
    changed = json.loads(json.dumps(primitives))
    changed[key][field] ^= 1
    assert States.from_primitives(primitives).digest() != States.from_primitives(changed).digest()
    del changed[key]
    assert States.from_primitives(primitives).digest() != States.from_primitives(changed).digest()


def test_gap_counts_in_the_digest():
    """An open gap is not an uncertain range, and neither is nothing."""
    base = [1, 9, 0, 0, [0] * len(FLAGS)]
    variants = [[*base, [], []], [*base, [[2, 3]], []], [*base, [], [[2, 3]]]]
    assert len({States.from_primitives({"0|A": variant}).digest() for variant in variants}) == 3


def test_digest_in_another_process():
    """It does not depend on Python's random hash."""
    code = (
        "import sys, json; from k2app.market.sequence_states import States;"
        "print(States.from_primitives(json.load(sys.stdin)).digest())"
    )
    states = states_of(BHP=[1, 2, 7], RIO=[3])
    other = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(states.to_primitives()),
        capture_output=True,
        check=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert states.digest() == other.stdout.strip()


def test_state_of_a_key_is_read():
    """It is given with everything known; another key has none."""
    states = states_of(BHP=[1, 2, 5])
    assert State(1, 5, 1, 0, {"first": 1, "ok": 1, "gap": 1}, ((3, 4),)) == states.get("BHP", 100)
    assert states.get("BHP", 101) is None
    assert states.get("RIO", 100) is None
    assert States.empty().get("BHP", 100) is None


def test_primitives_of_some_keys():
    """Only those asked for are turned into primitives."""
    states = states_of(BHP=[1], RIO=[2])
    assert len(states.to_primitives(np.array([0]))) == 1
    assert {"100|BHP", "100|RIO"} == set(states.to_primitives())


def test_closed_dates_are_evicted():
    """Dates before go, with their gaps and their symbols; the continuous scope stays."""
    zeros = [0] * len(FLAGS)
    primitives = {
        "19000|OLD": [1, 9, 0, 0, zeros, [[2, 3]], []],
        "19001|NEW": [1, 9, 0, 0, zeros, [[4, 5]], [[7, 7]]],
        "0|ALWAYS": [1, 2, 0, 0, zeros, [], []],
    }
    left = States.from_primitives(primitives).evict(19_001)
    del primitives["19000|OLD"]
    assert primitives == left.to_primitives()
    assert left.digest() == States.from_primitives(primitives).digest()
    assert sorted(left.keys.symbols.to_pylist()) == ["ALWAYS", "NEW"]


def test_key_is_added_after_eviction():
    """What was evicted begins again as new."""
    states = states_of(BHP=[1, 2]).evict(101)
    assert len(states) == 0
    assert states.digest() == "0-0000000000000000"


def test_columns_of_different_lengths_are_refused():
    """A caller's mistake does not become a wrong answer."""
    column = np.ones(2, np.int64)
    with pytest.raises(ValueError, match="one length"):
        Arrivals(pa.array(["A"]), column.astype(np.int32), column, column.astype(np.bool_), column)


def test_rule_text_is_canonical():
    """The line that is pinned in a table's properties."""
    assert RULE.text() == "contiguous trading_date first=1"
    assert Rule(kind="increasing").text() == "increasing continuous"
    assert Rule(kind="none", scope="trading_date").text() == "none"
    with pytest.raises(ValidationError, match="first = 1 has no use"):
        Rule(kind="increasing", first=1)


def test_scopes_of_a_rule():
    """Trading dates where the numbering starts again with them, else one scope for all."""
    dates = np.array([5, 6], np.int32)
    assert RULE.scopes(dates).tolist() == [5, 6]
    assert Rule(kind="increasing").scopes(dates).tolist() == [0, 0]


@given(st.sets(st.integers(0, 60)), st.integers(-2, 62), st.integers(0, 10))
def test_ranges_are_a_set(members, number, span):
    """Lookups in ranges agree with a plain set of numbers."""
    runs = [n for n in sorted(members) if n - 1 not in members]
    ranges = RangeSet()
    for start in runs:
        end = next(n for n in range(start, 99) if n + 1 not in members)
        ranges.insert(start, end)
    assert (number in members) == (ranges.find(number) >= 0)
    assert min((n for n in members if n >= number), default=None) == ranges.next_from(number)
    assert len(members & set(range(number, number + span + 1))) == ranges.overlap(number, number + span)


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=40))
def test_closest_ranges_are_joined_after_any_changes(changes):
    """What is joined are the lowest of the closest neighbours, whatever was inserted and replaced before."""
    ranges = RangeSet()
    for number, replace in changes:
        index = ranges.find(2 * number)
        if index >= 0 and replace:
            ranges.replace(index, index + 1, [])
        elif index < 0:
            ranges.insert(2 * number, 2 * number)
        pairs = list(pairwise(ranges))
        if len(pairs) > 4:
            closest = min(pairs, key=lambda pair: pair[1][0] - pair[0][1])
            between, joined = ranges.join_closest()
            assert between == (closest[0][1] + 1, closest[1][0] - 1)
            assert joined == (closest[0][0], closest[1][1])
