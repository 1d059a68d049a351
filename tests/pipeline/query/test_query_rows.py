"""Trades and quotes: ranges, order, paging, flags, exact values."""

from __future__ import annotations

import json

import pytest

from k2app.errors import RequestError
from k2app.query.answers.result_text import to_json
from k2app.query.requests import RowsRequest, parse
from k2app.query.times import micros_to_text
from tests.query_lake import MONDAY_US, gap, quote, trade

HOSTILE = (
    "' OR '1'='1",
    "'; DROP TABLE trades; --",
    '"; SELECT 1; --',
    "$filter_0",
    "%' --",
    "/etc/passwd",
    "\x00",
    "é😀",
)


def offsets(result):
    return result.rows["offset"].to_pylist()


def codes(result):
    return [warning.code for warning in result.warnings]


def test_a_range_holds_its_start_and_not_its_end(put, engine):
    """`[start, end)` to the microsecond."""
    put("trades", [trade(n) for n in range(10)])
    result = engine.trades(RowsRequest(symbol=("BHP",), start=MONDAY_US + 3, end=MONDAY_US + 6))
    assert [3, 4, 5] == offsets(result)
    assert [3] == offsets(engine.trades(RowsRequest(start=MONDAY_US + 3, end=MONDAY_US + 4)))


def test_rows_of_one_time_have_a_total_order(put, engine):
    """Ties: sequence with nulls first, then log, topic, partition, offset; descending is the exact reverse."""
    rows = [
        trade(7, micros=5, sequence=2),
        trade(6, micros=5, sequence=2),
        trade(5, micros=5, sequence=1, partition=1),
        trade(9, micros=5, sequence=1),
        trade(2, micros=5),
        trade(1, micros=5, log_id="zzz"),
        trade(8, micros=4, sequence=-5),
    ]
    put("trades", rows[:3])
    put("trades", rows[3:])
    ascending = [8, 2, 1, 9, 5, 6, 7]
    assert ascending == offsets(engine.trades(RowsRequest()))
    assert ascending[::-1] == offsets(engine.trades(RowsRequest(order="desc")))


def test_several_symbols_and_an_exchange_are_chosen(put, engine):
    """A symbol is one, or one of several; an exchange narrows further."""
    put("trades", [trade(0), trade(1, symbol="RIO"), trade(2, symbol="CBA"), trade(3, exchange="nyse")])
    assert [0, 1, 3] == offsets(engine.trades(RowsRequest(symbol=("RIO", "BHP"))))
    assert [0] == offsets(engine.trades(RowsRequest(symbol="BHP", exchange="asx")))


def test_duplicates_are_hidden_counted_and_shown_on_request(put, engine):
    """Only `duplicate` is hidden, the count is of the whole range, and asking shows them."""
    flags = ["ok", "duplicate", "conflict", "late", "duplicate"]
    put("trades", [trade(n, sequence=n, sequence_flag=flag) for n, flag in enumerate(flags)])
    hidden = engine.trades(RowsRequest(limit=1))
    assert [0] == offsets(hidden)
    assert ["duplicates_hidden"] == codes(hidden)
    assert 2 == hidden.warnings[0].count
    shown = engine.trades(RowsRequest(include_duplicates=True))
    assert [0, 1, 2, 3, 4] == offsets(shown)
    assert [] == codes(shown)


def test_decimals_reach_json_exactly(put, engine):
    """No float on the way: the digits of the lake are the digits of the answer."""
    prices = ["0.00000001", "9999999999.99999999", "-0.10000000", "100", "0", "123.45000000"]
    put("trades", [trade(n, price=price, quantity="3.10") for n, price in enumerate(prices)])
    result = engine.trades(RowsRequest())
    texts = json.loads(to_json(result))["rows"]
    expected = ["0.00000001", "9999999999.99999999", "-0.1", "100", "0", "123.45"]
    assert expected == [row["price"] for row in texts]
    assert {"3.1"} == {row["quantity"] for row in texts}
    numbers = json.loads(to_json(result, numbers=True), parse_float=str, parse_int=str)["rows"]
    assert expected == [row["price"] for row in numbers]


def test_every_column_reaches_json(put, engine):
    """Times with microseconds and Z, int64 as integers, lists, maps and nulls."""
    row = trade(
        3,
        symbol='B"H\\P\n',
        sequence=2**63 - 1,
        conditions=["1", 'a"b'],
        attributes=[("venue", "X"), ("k", "é")],
    )
    put("trades", [row])
    [found] = json.loads(to_json(engine.trades(RowsRequest())))["rows"]
    assert 'B"H\\P\n' == found["symbol"]
    assert "2026-01-05T00:00:00.000003Z" == found["timestamp"]
    assert 2**63 - 1 == found["sequence"]
    assert ["1", 'a"b'] == found["conditions"]
    assert {"venue": "X", "k": "é"} == found["attributes"]
    assert "2026-01-05" == found["trading_date"]
    assert found["trade_id"] is None


def test_a_missing_side_of_the_book_is_null(put, engine):
    """Never 0."""
    put("quotes", [quote(0, ask=None), quote(1, bid=None)])
    rows = json.loads(to_json(engine.quotes(RowsRequest())))["rows"]
    assert [("1", None), (None, "2")] == [(row["bid_price"], row["ask_price"]) for row in rows]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_parameters_stays_text(put, engine, text):
    """What a client writes is compared, never run; a symbol of that name is found."""
    put("trades", [trade(0), trade(1, symbol=text, exchange=text)])
    assert [1] == offsets(engine.trades(RowsRequest(symbol=(text,))))
    assert [1] == offsets(engine.trades(RowsRequest(symbol=(text, "none"), exchange=text)))
    with pytest.raises(RequestError, match=r"^cursor: "):
        engine.trades(RowsRequest(cursor=text))
    for name in ("start", "end", "as_of", "snapshot_id", "limit", "order", "include_duplicates"):
        with pytest.raises(RequestError, match=f"^{name}: "):
            parse(RowsRequest, [(name, text)])


def test_an_unknown_symbol_is_empty_and_said(put, engine):
    """Nothing, with a warning; a known one outside the range has none."""
    put("trades", [trade(0)])
    unknown = engine.trades(RowsRequest(symbol=("NOPE", "BHP")))
    assert [0] == offsets(unknown)
    assert ["unknown_symbol"] == codes(unknown)
    assert [] == codes(engine.trades(RowsRequest(symbol="BHP", start=MONDAY_US + 1)))


def test_an_empty_lake_answers_with_columns_and_says_so(engine):
    """Tables without snapshots have columns, no rows."""
    result = engine.trades(RowsRequest())
    assert 0 == result.rows.num_rows
    assert "price" in result.rows.column_names
    assert {"gaps": None, "trades": None} == result.snapshots
    assert ["nothing_committed"] == codes(result)
    assert result.as_of_us is None


def test_an_answer_names_its_snapshots_and_their_time(put, engine, catalog, settings):
    """`as_of` is the commit time, not the clock; the bytes are the same each time."""
    gaps = put("gaps", [gap("opened", 0, 1, 2, symbol="RIO")])
    trades = put("trades", [trade(0)])
    result = engine.trades(RowsRequest(symbol="BHP"))
    assert {"gaps": gaps, "trades": trades} == result.snapshots
    table = catalog.load_table((settings.lake.namespace, "trades"))
    assert table.current_snapshot().timestamp_ms * 1000 == result.as_of_us
    assert micros_to_text(result.as_of_us) == json.loads(to_json(result))["as_of"]
    assert to_json(result) == to_json(engine.trades(RowsRequest(symbol="BHP")))


def test_open_gaps_of_the_range_are_said(put, engine):
    """A hole seen in the range counts; one that was filled does not, whenever what filled it is stamped."""
    rows = [trade(n, sequence=n) for n in (1, 2, 5, 9)]
    put("trades", rows)
    put("gaps", [gap("opened", 5, 3, 4), gap("opened", 9, 6, 8), gap("filled", 20, 6, 6, micros=1)])
    put("trades", [trade(20, micros=1, sequence=6, sequence_flag="late")])
    said = engine.trades(RowsRequest(symbol="BHP")).warnings
    assert [("open_gaps", 2)] == [(notice.code, notice.count) for notice in said]
    assert "3 to 4" in said[0].message
    assert "7 to 8" in said[0].message
    assert [("open_gaps", 1)] == [
        (n.code, n.count) for n in engine.trades(RowsRequest(symbol="BHP", start=MONDAY_US + 6)).warnings
    ]
    assert () == engine.trades(RowsRequest(symbol="BHP", start=MONDAY_US + 10)).warnings


def test_a_hole_that_begins_in_the_range_is_said_though_seen_after_it(put, engine):
    """The record that shows a gap stands after it; the one before it tells where it begins."""
    put("gaps", [gap("opened", 9, 6, 8)])
    put("trades", [trade(n, sequence=n) for n in (5, 9, 10)])
    until_8 = engine.trades(RowsRequest(symbol="BHP", end=MONDAY_US + 8))
    assert ["open_gaps"] == codes(until_8)
    until_5 = engine.trades(RowsRequest(symbol="BHP", end=MONDAY_US + 5))
    assert [] == codes(until_5)


def test_a_limit_beyond_the_allowed_one_is_refused(engine):
    """The limit names its setting."""
    with pytest.raises(RequestError, match="K2_QUERY_MAX_ROWS"):
        engine.trades(RowsRequest(limit=100_001))
