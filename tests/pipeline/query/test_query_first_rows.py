"""Pages that are found by time first: the same rows as a sort of everything gives."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.errors import TransientError
from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.queries import TAQ_QUERY
from k2app.query.requests import RowsRequest, make
from k2app.query.taq.request import TaqRequest
from k2app.settings import Settings
from tests.query_lake import DAY_US, LOG, MONDAY_US, append, quote, trade

SYMBOLS = ("BHP", "CBA", "RIO")

TRADES = [
    trade(
        offset,
        micros=offset * 7 % 23 + offset % 3 * DAY_US,
        symbol=SYMBOLS[offset % 7 % 3],
        exchange=("asx", "generic")[offset % 11 == 0],
        sequence=None if offset % 4 == 0 else offset * 5 % 13 - 3,
        price=str(offset % 6),
        conditions=["1"] if offset % 5 == 0 else [],
        partition=offset % 2,
        log_id=(LOG, "another")[offset % 5 == 0],
        sequence_flag="duplicate" if offset % 9 == 0 else "ok",
    )
    for offset in range(240)
]
"""Rows of three days with many ties in every column of the order."""

QUOTES = [
    quote(
        offset,
        micros=offset * 5 % 23 + offset % 3 * DAY_US,
        symbol=SYMBOLS[offset % 5 % 3],
        bid=str(offset),
        ask=None if offset % 8 == 0 else str(offset + 1),
        sequence=None if offset % 4 == 0 else offset * 3 % 7,
        partition=offset % 2,
        sequence_flag="duplicate" if offset % 9 == 0 else "ok",
    )
    for offset in range(120)
]


@pytest.fixture(scope="module")
def small_groups(tmp_path_factory):
    """Engine over `TRADES` and `QUOTES`: files of each day, sorted as they come, in row groups of four rows."""
    settings = Settings(home=tmp_path_factory.mktemp("small-groups"))
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    for name, rows in ((Name.TRADES, TRADES), (Name.QUOTES, QUOTES)):
        with load(catalog, settings, name).transaction() as change:
            change.set_properties({"write.parquet.row-group-limit": "4"})
        ordered = sorted(rows, key=lambda row: (row["symbol"], key(row)))
        append(catalog, settings, name, ordered[::2])
        append(catalog, settings, name, rows[:5])
        append(catalog, settings, name, ordered[1::2])
    engine = QueryEngine(settings, catalog, exchanges.load())
    yield engine
    engine.close()
    catalog.close()


def key(row):
    sequence = row["sequence"]
    number = (sequence is not None, sequence or 0)
    return (row["timestamp"], number, row["log_id"], row["topic"], row["partition"], row["offset"])


def micros(row):
    return round(row["timestamp"].timestamp() * 1e6)


def stored(rows):
    """Every row, the first few twice, as the lake has them."""
    return [*rows, *rows[:5]]


def wanted(asked):
    """The slow, obvious way."""
    rows = [
        row
        for row in stored(TRADES)
        if (not asked["symbol"] or row["symbol"] in asked["symbol"])
        and asked["exchange"] in {None, row["exchange"]}
        and (asked["start"] is None or micros(row) >= asked["start"])
        and (asked["end"] is None or micros(row) < asked["end"])
        and (asked["min_price"] is None or row["price"] >= asked["min_price"])
        and (not asked["conditions"] or set(asked["conditions"]) & set(row["conditions"]))
        and (asked["include_duplicates"] or row["sequence_flag"] != "duplicate")
    ]
    return sorted(rows, key=key, reverse=asked["order"] == "desc")


RANGES = st.tuples(st.none() | st.integers(0, 70), st.none() | st.integers(1, 70)).map(
    lambda ends: (
        None if ends[0] is None else MONDAY_US + ends[0] % 24 + ends[0] // 24 * DAY_US,
        None if ends[1] is None else MONDAY_US + 3 * DAY_US - ends[1] // 24 * DAY_US + ends[1] % 24,
    )
)


@given(
    limit=st.integers(1, 50),
    order=st.sampled_from(["asc", "desc"]),
    symbols=st.sets(st.sampled_from([*SYMBOLS, "XYZ"])),
    exchange=st.sampled_from([None, "asx", "generic"]),
    ends=RANGES,
    min_price=st.none() | st.integers(0, 6).map(Decimal),
    conditions=st.sampled_from([(), ("1",)]),
    include_duplicates=st.booleans(),
    columns=st.sampled_from([(), ("price", "symbol"), ("attributes",)]),
)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pages_are_the_first_rows_of_a_sort(
    small_groups, limit, order, symbols, exchange, ends, min_price, conditions, include_duplicates, columns
):
    """Whatever filters, and from every place of the order on; copies of a row, one after the other, are all there."""
    start, end = ends
    if None not in ends and start >= end:
        start = None
    asked = {
        "symbol": tuple(symbols), "exchange": exchange, "start": start, "end": end, "min_price": min_price,
        "conditions": conditions, "include_duplicates": include_duplicates, "order": order,
    }  # fmt: skip
    expected = wanted(asked)
    request = make(RowsRequest, **asked, limit=limit, columns=columns)
    result = small_groups.trades(request)
    first = expected[:limit]
    names = columns or ("timestamp", "symbol", "price", "offset", "log_id", "conditions", "trade_id")
    for name in names:
        assert [row[name] for row in first] == result.rows[name].to_pylist()
    assert (len(expected) > limit) == (result.next is not None)
    if result.next is not None:
        # Rows whose keys are equal cannot be told apart by a cursor: the copies end with their page.
        rest = [
            row
            for row in expected
            if (key(row) < key(first[-1]) if order == "desc" else key(row) > key(first[-1]))
        ]
        more = small_groups.trades(request.model_copy(update={"cursor": result.next}))
        assert [row[names[0]] for row in rest[:limit]] == more.rows[names[0]].to_pylist()


@given(
    symbols=st.sets(st.sampled_from([*SYMBOLS, "XYZ"])),
    ends=RANGES,
    match=st.sampled_from(["at", "before"]),
    max_age=st.sampled_from([None, 1, 5, DAY_US]),
    order=st.sampled_from(["asc", "desc"]),
    limit=st.integers(1, 300),
)
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_trades_have_the_quote_that_prevailed(small_groups, symbols, ends, match, max_age, order, limit):
    """The last one in the total order, as found by looking at every quote."""
    start, end = ends
    if None not in ends and start >= end:
        start = None
    asked = {
        "symbol": tuple(symbols), "exchange": None, "start": start, "end": end, "min_price": None, "conditions": (),
        "include_duplicates": False, "order": order,
    }  # fmt: skip
    request = make(
        TaqRequest,
        symbol=tuple(symbols), start=start, end=end, order=order, limit=limit, match=match,
        max_age=None if max_age is None else f"{max_age}us",
    )  # fmt: skip
    rows = small_groups.answer(TAQ_QUERY, request).rows
    expected = [prevailing(row, match, max_age) for row in wanted(asked)[:limit]]
    found = zip(rows["bid_price"].to_pylist(), rows["ask_price"].to_pylist(), strict=True)
    assert expected == list(found)


def prevailing(row, match, max_age):
    """Both prices of a trade's quote."""
    at = micros(row)
    quotes = [
        one
        for one in QUOTES
        if (one["symbol"], one["exchange"]) == (row["symbol"], row["exchange"])
        and one["sequence_flag"] != "duplicate"
        and (micros(one) < at if match == "before" else micros(one) <= at)
    ]
    last = max(quotes, key=key, default=None)
    if last is None or (max_age is not None and at - micros(last) > max_age):
        return None, None
    return last["bid_price"], last["ask_price"]


def test_a_page_opens_only_the_files_that_it_needs(put, engine, catalog, settings):
    """A file that begins after the page ends may be gone: the page does not look at it."""
    put("trades", [trade(n) for n in range(5)])
    put("trades", [trade(9, micros=DAY_US)])
    [last] = [file for file in files(catalog, settings) if "2026-01-06" in file]
    Path(last).unlink()
    assert [0, 1, 2] == engine.trades(RowsRequest(limit=3)).rows["offset"].to_pylist()
    with pytest.raises(TransientError, match="a data file could not be read"):
        engine.trades(RowsRequest(limit=3, order="desc"))


def test_columns_come_in_the_types_of_the_table(put, engine, catalog, settings):
    """However the file writes them: plain strings, one chunk each, and equal to what Parquet itself holds."""
    put("trades", [trade(n, attributes={"venue": "A"}, conditions=["1", "2"], load_id="l") for n in range(5)])
    rows = engine.trades(RowsRequest(limit=3)).rows
    assert {1} == {column.num_chunks for column in rows.columns}
    [file] = files(catalog, settings)
    assert pq.read_table(file).slice(0, 3).cast(rows.schema).equals(rows)
    assert pa.string() == rows.schema.field("symbol").type


def files(catalog, settings):
    tasks = load(catalog, settings, Name.TRADES).scan().plan_files()
    return [task.file.file_path.removeprefix("file://") for task in tasks]
