from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_files import DATA, read_asx

from k2app.errors import OperatorError
from k2app.lake.tables import SPECS, Name
from k2app.load import ledger
from k2app.load.ledger import LoadEntry, Sent
from k2app.load.numbering import Key, Range, assign, count, reserve
from k2app.market import exchanges, sessions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = SPECS[Name.LOADS].arrow_schema


def block(pairs):
    """Rows of these (symbol, trading date)."""
    symbols = pa.array([symbol for symbol, _ in pairs], pa.string())
    table = pa.table({"symbol": symbols, "sequence": pa.nulls(len(pairs), pa.int64())})
    return table, np.array([day for _, day in pairs], np.int32)


def numbered(blocks, cursor):
    out = []
    for rows, dates in blocks:
        table, cursor = assign(rows, dates, cursor)
        out += table["sequence"].to_pylist()
    return out, cursor


ROWS = st.lists(st.tuples(st.sampled_from(["A", "B", "é"]), st.integers(-2, 2)), max_size=30)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(ROWS, max_size=4),
    st.dictionaries(st.tuples(st.sampled_from("AB"), st.integers(-2, 2)), st.integers(1, 9)),
)
def test_numbers_count_up_in_file_order(blocks, before):
    """The model: a counter per symbol and date, that starts after what is taken; blocks make no difference."""
    taken = {Key(*key): last for key, last in before.items()}
    tables = [block(pairs) for pairs in blocks]
    counter, expected = Counter(before), []
    for pair in (pair for pairs in blocks for pair in pairs):
        counter[pair] += 1
        expected.append(counter[pair])
    reserved = reserve(count(tables), taken)
    found, left = numbered(tables, reserved)
    assert expected == found
    assert {key: numbers.last for key, numbers in reserved.items()} == {key: counter[key] for key in reserved}
    assert all(numbers.first == numbers.last + 1 for numbers in left.values())


def test_a_file_that_grew_after_it_was_counted():
    """More rows than numbers: refused, and never given the numbers of others."""
    reserved = reserve(count([block([("A", 16139)])]), {})
    with pytest.raises(OperatorError, match="A on 2014-03-10: more rows than the 1 numbers left"):
        numbered([block([("A", 16139)] * 2)], reserved)
    with pytest.raises(OperatorError, match="B on 2014-03-10: more rows than the 0 numbers left"):
        numbered([block([("B", 16139)])], reserved)


def dated(path):
    exchange = exchanges.load()["asx"]
    for one in read_asx(path, block_bytes=128):
        times = one.rows["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
        yield one.rows, sessions.trading_dates(exchange, times)


def test_malformed_rows_take_no_number():
    """The rows before and after them are neighbours."""
    blocks = list(dated(DATA / "malformed.csv"))
    assert numbered(blocks, reserve(count(blocks), {}))[0] == [1, 2]


def test_a_file_is_numbered_by_trading_date():
    """The numbering starts again on the next day of the exchange; identical rows have numbers of their own."""
    blocks = list(dated(DATA / "9001.csv"))
    assert numbered(blocks, reserve(count(blocks), {}))[0] == [1, 2, 3, 4, 5, 6, 7, 8, 1]


def entry(**changes):
    first = {
        "load_id": "a" * 32,
        "state": ledger.RESERVED,
        "recorded_at": NOW,
        "file": "9001.csv",
        "file_sha256": "f" * 64,
        "file_bytes": 8,
        "exchange": "asx",
        "data_type": "trades",
        "profile": "asx",
        "sequence_mode": "assign",
        "symbol": "KTO",
        "rows": 3,
        "rejects": 0,
        "rejects_file": None,
        "numbers": {Key("KTO", 16139): Range(1, 3)},
        "sent": (),
        "log_id": "log",
    }
    return LoadEntry(**first | changes)


def table(*entries):
    return pa.Table.from_pylist([one.row() for one in entries], schema=SCHEMA)


def find(loads, **changes):
    asked = {"sha256": "f" * 64, "exchange": "asx", "data_type": "trades", "profile": "asx", "symbol": "KTO"}
    return ledger.find_same(loads, **asked | changes)


def test_an_entry_comes_back_from_the_table_as_it_went_in():
    """Through the schema of the lake's table."""
    whole = entry(rejects=1, rejects_file="r.jsonl", sent=(Sent("t", 0, 5, 8),), state=ledger.SENT)
    assert ledger.entries(table(whole)) == [whole]
    assert ledger.entries(table()) == []


def test_the_newest_row_of_a_load_counts():
    """Whatever the order of rows; in one moment, `sent` comes after `reserved`."""
    reserved, sent = entry(), entry(state=ledger.SENT)
    later = entry(rows=4, recorded_at=NOW + timedelta(seconds=1))
    assert ledger.entries(table(sent, reserved)) == [sent]
    assert ledger.entries(table(later, sent, reserved)) == [later]


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ("sha256", "e" * 64),
        ("exchange", "generic"),
        ("data_type", "quotes"),
        ("profile", "k2"),
        ("symbol", None),
    ],
)
def test_the_same_file_read_the_same_way(change, other):
    """All of them must agree."""
    loads = table(entry())
    assert find(loads) == entry()
    assert find(loads, **{change: other}) is None


def test_a_load_with_numbers_is_found_before_a_newer_one_without():
    """Loaded once without numbers, a file still comes back with those it was given."""
    plain = entry(load_id="b" * 32, numbers={}, sequence_mode="none", recorded_at=NOW + timedelta(days=1))
    assert find(table(plain, entry())) == entry()
    assert find(table(plain)) == plain


def test_another_file_continues_and_the_same_file_repeats():
    """Numbers that were reserved are taken, sent or not; those of another exchange or data type are not."""
    key = Key("KTO", 16139)
    loads = table(
        entry(),
        entry(load_id="b" * 32, file_sha256="e" * 64, numbers={key: Range(4, 9)}),
        entry(load_id="c" * 32, data_type="quotes", numbers={key: Range(1, 99)}),
        entry(load_id="d" * 32, exchange="generic", numbers={key: Range(1, 99)}),
    )
    taken = ledger.taken(loads, "asx", "trades")
    assert taken == {key: 9}
    assert reserve({key: 2, Key("KTO", 16140): 1}, taken) == {
        key: Range(10, 11),
        Key("KTO", 16140): Range(1, 1),
    }
    same = find(loads)
    assert same is not None
    rows = block([("KTO", 16139)] * 3)
    assert numbered([rows], same.numbers)[0] == [1, 2, 3]


def test_a_profile_of_ones_own_under_another_name():
    """The same file, if it says the same; another one, if not."""
    loads = table(entry(profile="mine@0123456789abcdef"))
    assert find(loads, profile="copy@0123456789abcdef") is not None
    assert find(loads, profile="mine@fedcba9876543210") is None
    assert find(loads, profile="mine") is None


def test_the_same_bytes_read_with_another_profile():
    """They are found, since their rows are not known as copies."""
    mine, shipped = entry(load_id="a", profile="mine@01"), entry(load_id="b")
    loads = table(
        mine, shipped, entry(load_id="c", exchange="generic"), entry(load_id="d", file_sha256="0" * 64)
    )
    assert [mine] == ledger.read_otherwise(loads, "f" * 64, "asx", "trades", "asx")
    assert [shipped] == ledger.read_otherwise(loads, "f" * 64, "asx", "trades", "copy@01")
    assert [mine, shipped] == ledger.read_otherwise(loads, "f" * 64, "asx", "trades", "mine@02")
