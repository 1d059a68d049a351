"""The sequence check against its oracle, and each case of the table by name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_oracle import HOUR_US, Oracle

from k2app.market.sequence_events import EVENT_SCHEMA
from k2app.market.sequence_flags import FLAGS
from k2app.market.sequence_groups import Arrivals
from k2app.market.sequence_rules import Rule
from k2app.market.sequence_states import State, States
from k2app.market.sequences import check

DAILY = Rule(kind="contiguous", scope="trading_date")
FROM_ONE = Rule(kind="contiguous", scope="trading_date", first=1)
CONTINUOUS = Rule(kind="contiguous", scope="continuous")
INCREASING = Rule(kind="increasing", scope="continuous")
NONE = Rule(kind="none")
MIN, MAX = -(2**63), 2**63 - 1


def arrivals(records, *, dictionary=False):
    symbols = pa.array([symbol for symbol, _, _, _ in records], pa.string())
    return Arrivals(
        symbols.dictionary_encode() if dictionary else symbols,
        np.array([scope for _, scope, _, _ in records], np.int32),
        np.array([0 if seq is None else seq for _, _, seq, _ in records], np.int64),
        np.array([seq is not None for _, _, seq, _ in records], np.bool_),
        np.array([time for _, _, _, time in records], np.int64),
    )


def of_one_symbol(*numbers_and_hours):
    """Records of BHP; a number alone has time 0, a pair its hour."""
    pairs = [pair if isinstance(pair, tuple) else (pair, 0) for pair in numbers_and_hours]
    return [("BHP", 0, seq, int(hour * HOUR_US)) for seq, hour in pairs]


def flags_of(checked):
    return [FLAGS[code] for code in checked.flags.tolist()]


def run(records, rule, states=None, limit=1_000):
    return check(arrivals(records), states or States.empty(), rule, max_open_gaps=limit)


def events_of(checked):
    columns = ("row", "event", "from_sequence", "to_sequence", "missing", "severity")
    return [tuple(row[name] for name in columns) for row in checked.events.to_pylist()]


def in_parts(records, cuts, rule, limit):
    """Check a stream cut into batches; everything joined, rows counted from the stream's start."""
    states, flags, epochs, events, start = States.empty(), [], [], [], 0
    for end in [*sorted(cuts), len(records)]:
        before = states.digest()
        part = check(
            arrivals(records[start:end], dictionary=bool(end % 2)), states, rule, max_open_gaps=limit
        )
        assert before == states.digest()
        assert part.events.schema == EVENT_SCHEMA
        flags += flags_of(part)
        epochs += part.epochs.tolist()
        events += [row | {"row": row["row"] + start} for row in part.events.to_pylist()]
        states, start = part.states, end
    return states, flags, epochs, events


def assert_as_oracle(records, cuts, rule, limit):
    oracle = Oracle(rule, limit).run(records)
    states, flags, epochs, events = in_parts(records, cuts, rule, limit)
    assert oracle.flags == flags
    assert oracle.epochs == epochs
    assert oracle.events == events
    assert len(oracle.states) == len(states)
    for (symbol, scope), state in oracle.states.items():
        expected = State(
            state.low,
            state.high,
            state.high_time_us,
            state.epoch,
            state.counts,
            tuple(state.gaps),
            tuple(state.uncertain),
        )
        assert expected == states.get(symbol, scope)
    whole = check(arrivals(records), States.empty(), rule, max_open_gaps=limit).states
    assert whole.digest() == states.digest()
    assert whole.digest() == States.from_primitives(states.to_primitives()).digest()


RULES = st.sampled_from(
    [DAILY, FROM_ONE, CONTINUOUS, Rule(kind="contiguous", scope="continuous", first=3), INCREASING, NONE]
)
NUMBERS = st.one_of(
    st.integers(-3, 30),
    st.integers(-3, 30),
    st.none(),
    st.sampled_from([MIN, MIN + 1, -2, MAX - 1, MAX, MAX // 2]),
)
TIMES = st.one_of(
    st.integers(0, 3),
    st.sampled_from([HOUR_US - 1, HOUR_US, 2 * HOUR_US, 5 * HOUR_US]),
    st.sampled_from([MIN, MAX]),
)
RECORDS = st.lists(
    st.tuples(st.sampled_from(["", "A", "B|1", "é"]), st.sampled_from([-1, 0, 16_000]), NUMBERS, TIMES),
    max_size=60,
)
CUTS = st.lists(st.integers(0, 60), max_size=4)


@settings(max_examples=300, deadline=None)
@given(RECORDS, CUTS, RULES, st.integers(1, 4))
def test_random_streams_are_judged_as_the_table_says(records, cuts, rule, limit):
    """Flags, epochs, states, events and digests are the oracle's, however the stream is cut."""
    assert_as_oracle(records, [min(cut, len(records)) for cut in cuts], rule, limit)


@st.composite
def counting_streams(draw):
    """One symbol whose numbers come in runs of up to 60, forward, repeated, filled in and restarted."""
    records, time = [], 0
    for _ in range(draw(st.integers(1, 8))):
        start, length = draw(st.integers(-80, 150)), draw(st.integers(1, 60))
        time += draw(st.sampled_from([-5, 0, 1, HOUR_US // 40, HOUR_US]))
        step = draw(st.sampled_from([0, 1, -1, HOUR_US // 30]))
        records += [("A", 0, start + k, time + k * step) for k in range(length)]
    return records


@settings(max_examples=300, deadline=None)
@given(counting_streams(), CUTS, RULES, st.integers(1, 4))
def test_streams_of_runs_are_judged_as_the_table_says(records, cuts, rule, limit):
    """What is judged as one run gets what its records would have got one by one."""
    assert_as_oracle(records, [min(cut, len(records)) for cut in cuts], rule, limit)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 3))
def test_every_number_not_received_is_in_a_gap_or_uncertain(numbers, limit):
    """A hole is never papered over, and what is called missing was not received."""
    state = run(of_one_symbol(*numbers), DAILY, limit=limit).states.get("BHP", 0)
    unknown = {n for start, end in state.uncertain for n in range(start, end + 1)}
    missing = {n for start, end in state.gaps for n in range(start, end + 1)} - unknown
    everything = set(range(state.low, state.high + 1))
    assert everything - set(numbers) - unknown == missing
    assert max(len(state.gaps), len(state.uncertain)) <= limit


def test_nothing_arrives():
    """No records: no flags, no events, the same states."""
    checked = run([], DAILY)
    assert flags_of(checked) == []
    assert len(checked.states) == 0
    assert EVENT_SCHEMA.empty_table() == checked.events


def test_case_1_record_without_sequence():
    """It is unsequenced and leaves no state."""
    checked = run(of_one_symbol(None, None), DAILY)
    assert flags_of(checked) == ["unsequenced", "unsequenced"]
    assert checked.states.get("BHP", 0) is None


def test_case_2_first_number_is_known_and_lower():
    """What is missing from the scope's first number on is a gap, and each number of it fills once."""
    checked = run(of_one_symbol(5, 3, 3, 0), FROM_ONE)
    assert flags_of(checked) == ["first", "late", "duplicate", "late"]
    assert events_of(checked) == [(0, "opened", 1, 4, 4, "small"), (1, "filled", 3, 3, 1, "small")]
    assert checked.states.get("BHP", 0).gaps == ((1, 2), (4, 4))


def test_case_3_numbering_starts_again():
    """The epoch grows and every open gap is abandoned, as one of the epoch before."""
    checked = run(of_one_symbol(10, 12, 30, (1, 1), (2, 1)), CONTINUOUS)
    assert flags_of(checked) == ["first", "gap", "gap", "reset", "ok"]
    assert checked.epochs.tolist() == [0, 0, 0, 1, 1]
    abandoned = [row for row in checked.events.to_pylist() if row["event"] == "abandoned"]
    assert [
        (row["row"], row["event_index"], row["epoch"], row["from_sequence"], row["to_sequence"])
        for row in abandoned
    ] == [(3, 0, 0, 11, 11), (3, 1, 0, 13, 29)]


def test_case_3_abandons_a_gap_that_encloses_uncertain_numbers():
    """What is uncertain is not counted as missing."""
    checked = run(of_one_symbol(100, 103, 105, (1, 1)), CONTINUOUS, limit=1)
    assert events_of(checked)[-2:] == [
        (2, "merged", 103, 103, 1, "small"),
        (3, "abandoned", 101, 104, 3, "small"),
    ]


def test_case_3_next_number_below_zero_an_hour_later():
    """The comparison is exact below zero too, across batches: -9 is less than half of -10."""
    once = run(of_one_symbol(-10), CONTINUOUS)
    assert flags_of(run(of_one_symbol((-9, 1)), CONTINUOUS, once.states)) == ["reset"]
    assert flags_of(run(of_one_symbol((-9, 0.5)), CONTINUOUS, once.states)) == ["ok"]


def test_case_3_takes_an_hour_and_less_than_half():
    """One microsecond less, exactly half, or another scope: no reset."""
    assert flags_of(run(of_one_symbol(4, 10, (4, 0)), CONTINUOUS))[2] == "duplicate"
    assert flags_of(run([*of_one_symbol(10), ("BHP", 0, 4, HOUR_US - 1)], CONTINUOUS))[1] == "late"
    assert flags_of(run(of_one_symbol(10, (5, 1)), CONTINUOUS))[1] == "late"
    assert flags_of(run(of_one_symbol(10, (4, 1)), DAILY))[1] == "late"


@pytest.mark.parametrize(("number", "missing", "severity"), [(13, 10, "small"), (14, 11, "large")])
def test_case_5_gap_severity(number, missing, severity):
    """Up to ten missing numbers are a small gap."""
    checked = run(of_one_symbol(2, number), DAILY)
    assert [(1, "opened", 3, number - 1, missing, severity)] == events_of(checked)


def test_case_6_late_record_splits_a_gap():
    """It fills its own number only."""
    checked = run(of_one_symbol(1, 5, 3), DAILY)
    assert flags_of(checked) == ["first", "gap", "late"]
    assert checked.states.get("BHP", 0).gaps == ((2, 2), (4, 4))


def test_case_7_record_below_low():
    """What lies between it and low is a gap; right below there is none."""
    checked = run(of_one_symbol(10, 7, 6), DAILY)
    assert flags_of(checked) == ["first", "late", "late"]
    assert events_of(checked) == [(1, "opened", 8, 9, 2, "small")]
    assert checked.states.get("BHP", 0).low == 6


def test_case_8_list_of_gaps_is_full():
    """The two closest gaps become one; what was received between them is uncertain, the rest still missing."""
    checked = run(of_one_symbol(1, 3, 5, 9, 3, 2), DAILY, limit=2)
    assert flags_of(checked) == ["first", "gap", "gap", "gap", "uncertain", "late"]
    assert (3, "merged", 3, 3, 1, "small") in events_of(checked)
    state = checked.states.get("BHP", 0)
    assert state.gaps == ((4, 4), (6, 8))
    assert state.uncertain == ((3, 3),)


def test_cases_9_and_10_known_number_comes_again():
    """Later in event time it may be a reset to come; else it is a duplicate."""
    records = [*of_one_symbol(1, 2, 3), ("BHP", 0, 2, 1), *of_one_symbol(2), ("BHP", 0, 3, 1)]
    assert flags_of(run(records, CONTINUOUS))[3:] == ["regressed", "duplicate", "duplicate"]


def test_increasing_numbers_skip_without_gaps():
    """Only order is judged, against the highest so far."""
    checked = run(of_one_symbol(5, 9, 9, 7, 10), INCREASING)
    assert flags_of(checked) == ["first", "ok", "duplicate", "regressed", "ok"]
    assert checked.events.num_rows == 0


def test_scopes_of_a_symbol_are_interleaved():
    """Each trading date counts for itself."""
    records = [("BHP", 1, 1, 0), ("BHP", 2, 1, 0), ("BHP", 1, 2, 0), ("BHP", 2, 3, 0)]
    assert flags_of(run(records, FROM_ONE)) == ["first", "first", "ok", "gap"]


def test_gap_over_the_whole_of_int64():
    """Bounds are exact; the count stops at the largest int64."""
    checked = run(of_one_symbol(MIN, MAX, MIN), DAILY)
    assert flags_of(checked) == ["first", "gap", "duplicate"]
    assert events_of(checked) == [(1, "opened", MIN + 1, MAX - 1, MAX, "large")]


def test_same_file_twice():
    """A repeated load is all duplicates, and adds nothing but counts."""
    records = of_one_symbol(*range(1, 5_001))
    once = run(records, FROM_ONE)
    twice = run(records, FROM_ONE, once.states)
    assert {"duplicate"} == set(flags_of(twice))
    assert twice.states.get("BHP", 0).counts == {"first": 1, "ok": 4_999, "duplicate": 5_000}
    assert twice.changed.tolist() == [0]


def test_more_keys_than_sort_by_radix():
    """Symbols and dates beyond 65,536 groups are judged the same."""
    symbols = np.tile(np.arange(300), 2)
    records = [(f"S{s}", day, 1 + k // 300, 0) for day in range(300) for k, s in enumerate(symbols)]
    checked = run(records, FROM_ONE)
    assert np.bincount(checked.flags).tolist() == [90_000, 90_000]
    assert len(checked.states) == 90_000
    assert len(checked.states.keys.symbols) == 300


def test_dictionary_of_another_repeats_a_value():
    """Symbols are told apart by their text, not by their place in a dictionary."""
    symbols = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["BHP", "BHP"]))
    ones = np.ones(2, np.int64)
    checked = check(
        Arrivals(symbols, ones.astype(np.int32), np.array([1, 2]), ones.astype(np.bool_), ones),
        States.empty(),
        DAILY,
    )
    assert flags_of(checked) == ["first", "ok"]


def test_limit_below_one():
    """A key cannot do without a place for a gap."""
    with pytest.raises(ValueError, match="max_open_gaps takes 1 or more, got 0"):
        run(of_one_symbol(1), DAILY, limit=0)
