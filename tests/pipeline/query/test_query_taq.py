"""Trades with their quotes against a slow model."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.errors import RequestError
from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.queries import TAQ_QUERY
from k2app.query.requests import make
from k2app.query.taq import quotes as taq_quotes
from k2app.query.taq.request import TaqRequest
from k2app.query.taq.taq import SCHEMA
from k2app.query.times import EPOCH
from k2app.settings import Settings
from tests.market_model import PRINTS, market, retract, shown
from tests.query_lake import DAY_US, MONDAY_US, append, at, gap, quote, trade

SIDES = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")

SIDE = st.none() | st.integers(1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-8))

AGES = {None: None, "0us": 0, "500ms": 500_000, "2m": 120_000_000, "30d": 30 * DAY_US}

QUOTES = PRINTS.flatmap(
    lambda print_: st.tuples(SIDE, SIDE).map(
        lambda sides: {
            **{name: value for name, value in print_.items() if name not in {"price", "quantity"}},
            "bid_price": sides[0],
            "ask_price": sides[1],
        }
    )
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Settings, catalog and engine that the examples share, and numbers for their symbols."""
    settings = Settings(home=tmp_path_factory.mktemp("taq"))
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    engine = QueryEngine(settings, catalog, exchanges.load())
    yield settings, catalog, engine, count()
    engine.close()
    catalog.close()


def make_quote(offset, *, timestamp, symbol, bid_price, ask_price, **other):
    return quote(offset, symbol=symbol, **other) | {
        "timestamp": timestamp, "bid_price": bid_price, "ask_price": ask_price,
    }  # fmt: skip


def model(trades, quotes, max_age, match):
    """For each trade a walk over all quotes in total order."""
    return [row | prevailing(row, quotes, max_age, match) for row in trades]


def prevailing(row, quotes, max_age, match):
    best = None
    for candidate in quotes:
        same = all(candidate[name] == row[name] for name in ("symbol", "exchange"))
        earlier = candidate["timestamp"] < row["timestamp"]
        if same and (earlier or (match == "at" and candidate["timestamp"] == row["timestamp"])):
            best = candidate
    if best is None or (
        max_age is not None and row["timestamp"] - best["timestamp"] > timedelta(microseconds=max_age)
    ):
        return dict.fromkeys(("quote_timestamp", *SIDES, "mid", "spread", "effective_spread", "quote_age_us"))
    bid, ask = best["bid_price"], best["ask_price"]
    two_sided = bid is not None and ask is not None
    return {
        "quote_timestamp": best["timestamp"],
        **{side: best[side] for side in SIDES},
        "mid": (bid + ask) / 2 if two_sided else None,
        "spread": ask - bid if two_sided else None,
        "effective_spread": 2 * abs(row["price"] - (bid + ask) / 2) if two_sided else None,
        "quote_age_us": (row["timestamp"] - best["timestamp"]) // timedelta(microseconds=1),
    }


@given(
    prints=st.lists(PRINTS, min_size=1, max_size=20),
    offers=st.lists(QUOTES, max_size=25),
    max_age=st.sampled_from(list(AGES)),
    match=st.sampled_from(["at", "before"]),
    order=st.sampled_from(["asc", "desc"]),
    retracted=st.booleans(),
    limit=st.integers(2, 30),
    data=st.data(),
)
@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_trade_has_the_quote_of_a_slow_model(
    lake, prints, offers, max_age, match, order, retracted, limit, data
):
    """Ties, copies, retracted loads on both sides; quotes before the range; and pages of any size make the whole."""
    settings, catalog, engine, numbers = lake
    prefix = f"P{next(numbers)}"
    trades, quotes = market(prints, prefix), market(offers, prefix, make_quote)
    append(catalog, settings, "trades", trades)
    if quotes:
        append(catalog, settings, "quotes", quotes)
    if retracted:
        retract(catalog, settings, f"{prefix}gone", "trades")
        retract(catalog, settings, f"{prefix}gone", "quotes")
    gone = f"{prefix}gone" if retracted else None
    start = data.draw(st.none() | st.sampled_from([row["timestamp"] for row in trades]))
    inside = [row for row in trades if start is None or row["timestamp"] >= start]
    expected = model(shown(inside, gone).rows, shown(quotes, gone).rows, AGES[max_age], match)
    expected = [{name: row[name] for name in SCHEMA.names} for row in expected]
    if order == "desc":
        expected.reverse()
    question = {
        "symbol": (f"{prefix}A", f"{prefix}B"), "match": match, "order": order, "max_age": max_age,
        "start": None if start is None else (start - EPOCH) // timedelta(microseconds=1),
    }  # fmt: skip
    whole = engine.answer(TAQ_QUERY, make(TaqRequest, **question))
    assert expected == whole.rows.to_pylist()
    assert SCHEMA == whole.rows.schema
    paged, cursor = [], None
    while True:
        page = engine.answer(TAQ_QUERY, make(TaqRequest, **question, limit=limit, cursor=cursor))
        paged += page.rows.to_pylist()
        cursor = page.next
        if cursor is None:
            break
    assert expected == paged


@pytest.fixture
def taq(engine):
    return lambda **asked: engine.answer(TAQ_QUERY, make(TaqRequest, **asked))


def test_the_last_quote_before_the_range_is_found_however_old(put, taq):
    """An hour, a day, a year: unless it is too old for what was asked."""
    put(
        "quotes",
        [quote(0, micros=-400 * DAY_US, symbol="OLD"), quote(1, micros=-2 * DAY_US), quote(2, micros=-5)],
    )
    put("trades", [trade(0, micros=0), trade(1, micros=1, symbol="OLD"), trade(2, micros=2, symbol="NONE")])
    assert [5, 400 * DAY_US + 1, None] == taq(start=MONDAY_US).rows["quote_age_us"].to_pylist()
    assert [5, None, None] == taq(start=MONDAY_US, max_age="2d").rows["quote_age_us"].to_pylist()


def test_looking_further_back_for_one_symbol_takes_no_older_quote_of_another(put, taq):
    """The same symbol at two exchanges: one was quoted minutes before the range, the other days before."""
    put("quotes", [quote(0, micros=-60_000_000, bid="2"), quote(1, micros=-3 * DAY_US, bid="1")])
    put("quotes", [quote(2, micros=-3 * DAY_US, bid="1.5", exchange="binance")])
    put("trades", [trade(0, micros=0), trade(1, micros=1, exchange="binance")])
    assert [Decimal(2), Decimal("1.5")] == taq(start=MONDAY_US).rows["bid_price"].to_pylist()


def test_a_page_with_very_many_quotes_is_joined_in_parts(put, taq, monkeypatch):
    """The parts make the same whole; the bound is on memory only."""
    put("quotes", [quote(n, micros=n // 3, bid=str(n + 1), ask=str(n + 2)) for n in range(60)])
    put("trades", [trade(n, micros=n) for n in range(30)])
    whole = taq().rows
    monkeypatch.setattr(taq_quotes, "MAX_QUOTES", 4)
    assert whole == taq().rows
    assert [*range(3, 61, 3), *[60] * 10] == [int(price) for price in whole["bid_price"].to_pylist()]


def test_what_is_missing_and_hidden_is_said_of_both_tables(put, taq):
    """Gaps, duplicates and unknown symbols, of trades and of quotes."""
    put("gaps", [gap("opened", 1, 4, 6), gap("opened", 2, 1, 2, data_type="quotes")])
    put("trades", [trade(0), trade(1, sequence_flag="duplicate"), trade(2, symbol="RIO")])
    put("quotes", [quote(0, sequence_flag="duplicate"), quote(1)])
    result = taq(symbol=("BHP", "RIO"))
    codes = [notice.code for notice in result.warnings]
    assert ["duplicates_hidden", "open_gaps", "duplicates_hidden", "open_gaps", "unknown_symbol"] == codes
    assert result.warnings[0].message.startswith("1 duplicate trades of the range")
    assert result.warnings[4].message.startswith("no quotes of 'RIO'")
    assert {"gaps", "quotes", "trades"} == result.snapshots.keys()


def test_a_lake_without_quotes_has_trades_without_them(put, taq):
    """Null, and the warning says that nothing was committed."""
    put("trades", [trade(0)])
    result = taq()
    assert [(at(0), None, None)] == [
        (row["timestamp"], row["quote_timestamp"], row["mid"]) for row in result.rows.to_pylist()
    ]
    assert ["nothing_committed"] == [notice.code for notice in result.warnings]


@pytest.mark.parametrize("max_age", ["5", "s", "-1s", "1.5s", "4000d", "5w"])
def test_an_age_that_is_none_is_refused(taq, max_age):
    """With what it takes."""
    with pytest.raises(RequestError, match=r"max_age: .*(duration|ten years); takes"):
        taq(max_age=max_age)
