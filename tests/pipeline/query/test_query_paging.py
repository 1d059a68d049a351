"""Pages: every row exactly once, on one snapshot, in order."""

from __future__ import annotations

import base64

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.errors import RequestError
from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.query.answers.page import from_cursor, to_cursor
from k2app.query.engine import QueryEngine
from k2app.query.requests import GapsRequest, RowsRequest, make
from k2app.settings import Settings
from tests.query_lake import LOG, MONDAY_US, append, gap, trade

ROWS = [
    trade(
        offset,
        micros=offset * 7 % 11,
        symbol=("BHP", "RIO", "CBA")[offset % 3],
        sequence=None if offset % 4 == 0 else offset * 5 % 13 - 3,
        partition=offset % 2,
        log_id=(LOG, "another")[offset % 5 == 0],
        sequence_flag="duplicate" if offset % 9 == 0 else "ok",
    )
    for offset in range(60)
]
"""Rows with many ties in every column of the order."""


@pytest.fixture(scope="module")
def ties(tmp_path_factory):
    """Engine over `ROWS`, in four files."""
    settings = Settings(home=tmp_path_factory.mktemp("ties"))
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    for part in range(4):
        append(catalog, settings, "trades", ROWS[part::4])
    engine = QueryEngine(settings, catalog, exchanges.load())
    yield engine
    engine.close()
    catalog.close()


def key(row):
    sequence = row["sequence"]
    number = (sequence is not None, sequence or 0)
    return (row["timestamp"], number, row["log_id"], row["topic"], row["partition"], row["offset"])


def walk(engine, limits, **asked):
    """Offsets of all pages; page n has the n-th limit, the last one repeating."""
    found, cursor = [], None
    while True:
        limit = limits[0] if len(limits) == 1 else limits.pop(0)
        result = engine.trades(make(RowsRequest, **asked, limit=limit, cursor=cursor))
        assert result.rows.num_rows <= limit
        found += result.rows["offset"].to_pylist()
        cursor = result.next
        if cursor is None:
            return found


@given(
    limits=st.lists(st.integers(2, 40), min_size=1, max_size=8),
    order=st.sampled_from(["asc", "desc"]),
    symbols=st.sets(st.sampled_from(["BHP", "RIO", "CBA"])),
    start=st.none() | st.integers(0, 12),
    length=st.integers(1, 12),
    include_duplicates=st.booleans(),
)
@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pages_walk_every_row_exactly_once(ties, limits, order, symbols, start, length, include_duplicates):
    """Whatever the sizes of the pages: the rows are those of a sorted list."""
    begin = None if start is None else MONDAY_US + start
    end = None if start is None else begin + length
    expected = [
        row["offset"]
        for row in sorted(ROWS, key=key, reverse=order == "desc")
        if (not symbols or row["symbol"] in symbols)
        and (start is None or start <= row["timestamp"].microsecond < start + length)
        and (include_duplicates or row["sequence_flag"] != "duplicate")
    ]
    asked = {"order": order, "symbol": tuple(symbols), "start": begin, "end": end}
    assert expected == walk(ties, limits, **asked, include_duplicates=include_duplicates)


def test_a_page_that_ends_on_the_last_row_has_no_next(ties):
    """`next` means that there is more."""
    visible = sum(row["sequence_flag"] != "duplicate" for row in ROWS)
    assert ties.trades(RowsRequest(limit=visible)).next is None
    assert ties.trades(RowsRequest(limit=visible - 1)).next is not None


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_appends_between_pages_change_nothing(put, engine, order):
    """A cursor stays on the snapshot of its first page."""
    put("trades", [trade(n, micros=2 * n) for n in range(6)])
    first = engine.trades(RowsRequest(limit=2, order=order))
    put("trades", [trade(n + 100, micros=2 * n + 1) for n in range(6)])
    put("gaps", [gap("opened", 0, 1, 1)])
    second = engine.trades(RowsRequest(limit=10, order=order, cursor=first.next))
    expected = [0, 1, 2, 3, 4, 5] if order == "asc" else [5, 4, 3, 2, 1, 0]
    assert expected == first.rows["offset"].to_pylist() + second.rows["offset"].to_pylist()
    assert first.snapshots == second.snapshots
    assert first.as_of_us == second.as_of_us
    assert first.warnings == second.warnings


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": ("RIO",)},
        {"exchange": "asx"},
        {"order": "desc"},
        {"start": MONDAY_US},
        {"include_duplicates": True},
        {"as_of": MONDAY_US},
    ],
)
def test_a_cursor_of_another_question_is_refused(ties, other):
    """The parameters are part of the cursor."""
    cursor = ties.trades(RowsRequest(limit=2)).next
    with pytest.raises(RequestError, match=r"^cursor: .*other parameters"):
        ties.trades(make(RowsRequest, limit=2, cursor=cursor, **other))
    with pytest.raises(RequestError, match=r"^cursor: .*other parameters"):
        ties.quotes(RowsRequest(limit=2, cursor=cursor))


def test_the_order_of_symbols_and_the_notation_are_not_part_of_the_question(ties):
    """Page size, decimals and the order in which symbols are named may change between pages."""
    cursor = ties.trades(RowsRequest(limit=2, symbol=("BHP", "RIO"))).next
    again = RowsRequest(limit=5, symbol=("RIO", "BHP"), numbers=True, cursor=cursor)
    assert 5 == ties.trades(again).rows.num_rows


@given(position=st.integers(0, 10_000), letter=st.sampled_from("ABCxyz019-_"))
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_changed_cursor_is_refused(ties, position, letter):
    """Any character changed shows."""
    cursor = ties.trades(RowsRequest(limit=2)).next
    place = position % len(cursor)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    if changed != cursor:
        with pytest.raises(RequestError, match=r"^cursor: "):
            ties.trades(RowsRequest(limit=2, cursor=changed))


@pytest.mark.parametrize(
    "cursor", ["", "A", "=", "äöü", base64.urlsafe_b64encode(b"0" * 40).decode(), "x" * 8_000]
)
def test_what_is_no_cursor_is_refused(ties, cursor):
    """Garbage is the client's fault, never a fault of ours."""
    with pytest.raises(RequestError, match=r"^cursor: "):
        ties.trades(RowsRequest(cursor=cursor))


def test_a_cursor_of_another_lake_is_refused(ties, put, engine):
    """Snapshot ids and offsets mean nothing elsewhere."""
    put("trades", [trade(0)])
    with pytest.raises(RequestError, match=r"^cursor: "):
        engine.trades(RowsRequest(limit=2, cursor=ties.trades(RowsRequest(limit=2)).next))


@pytest.mark.parametrize("rows", [-1, -(2**63), 2**62, 2**63 - 1])
def test_a_made_up_number_of_rows_is_refused(put, engine, rows):
    """A cursor is no secret: anybody can make one that fits the question."""
    put("gaps", [gap("opened", n, 10 * n, 10 * n + 2) for n in range(3)])
    asked = GapsRequest(limit=1)
    question = ["gaps", asked.identity()]
    given = from_cursor(engine.gaps(asked).next, question, (int,))
    cursor = to_cursor(given.model_copy(update={"key": (rows,)}), question)
    with pytest.raises(RequestError, match=r"^cursor: is not one that K2 gave out"):
        engine.gaps(GapsRequest(limit=1, cursor=cursor))


@pytest.mark.parametrize("events", [False, True])
def test_gaps_are_paged_too(put, engine, events):
    """Every gap once, on one snapshot."""
    put("gaps", [gap("opened", n, 10 * n, 10 * n + 2) for n in range(7)])
    starts, cursor = [], None
    while True:
        result = engine.gaps(GapsRequest(limit=3, cursor=cursor, events=events))
        starts += result.rows["from_sequence"].to_pylist()
        put("gaps", [gap("opened", 100, 1, 2, symbol="AAA")])
        cursor = result.next
        if cursor is None:
            break
    assert [0, 10, 20, 30, 40, 50, 60] == starts
