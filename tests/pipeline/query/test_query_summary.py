"""Day summaries against a slow model in Decimal."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.errors import OperatorError
from k2app.query.engine import QueryEngine
from k2app.query.requests import SummariesRequest, SummaryRequest
from tests.query_lake import DAY_US, MONDAY, gap, trade

PRICES = st.integers(1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-8))
QUANTITIES = st.integers(1, 10**12).map(lambda units: Decimal(units).scaleb(-8))

PRINTS = st.builds(
    dict,
    symbol=st.sampled_from(["BHP", "RIO"]),
    micros=st.integers(0, 3),
    price=PRICES,
    quantity=QUANTITIES,
    sequence=st.none() | st.integers(-2, 5),
    conditions=st.lists(st.sampled_from(["0", "1", "5", "9"]), max_size=2),
    attributes=st.sampled_from([None, [], [("venue", "X")], [("venue", "A")], [("other", "X")]]),
    sequence_flag=st.sampled_from(["ok", "ok", "late", "duplicate"]),
)


def is_off_market(row):
    """The rule of the asx as its file states it."""
    return bool({"1", "3", "9"} & set(row["conditions"])) or ("venue", "X") in (row["attributes"] or [])


def order(row):
    return (row["timestamp"], row["sequence"] is not None, row["sequence"] or 0, row["offset"])


def model(rows):
    """One dictionary per symbol, by loops over Decimals."""
    found = {}
    for symbol in sorted({row["symbol"] for row in rows}):
        mine = [row for row in rows if row["symbol"] == symbol]
        seen = sorted((row for row in mine if row["sequence_flag"] != "duplicate"), key=order)
        on = [row for row in seen if not is_off_market(row)]
        off = [row for row in seen if is_off_market(row)]
        with localcontext(prec=200):
            volume = sum((row["quantity"] for row in on), Decimal(0))
            notional = sum((row["price"] * row["quantity"] for row in on), Decimal(0))
            vwap = (notional / volume).quantize(Decimal("1e-8"), ROUND_HALF_EVEN) if on else None
        found[symbol] = {
            "open": on[0]["price"] if on else None,
            "high": max((row["price"] for row in on), default=None),
            "low": min((row["price"] for row in on), default=None),
            "close": on[-1]["price"] if on else None,
            "vwap": vwap,
            "volume": volume,
            "notional": notional,
            "trades": len(on),
            "off_market_volume": sum((row["quantity"] for row in off), Decimal(0)),
            "off_market_trades": len(off),
            "first_timestamp": seen[0]["timestamp"] if seen else None,
            "last_timestamp": seen[-1]["timestamp"] if seen else None,
            "duplicates_hidden": len(mine) - len(seen),
        }
    return found


@pytest.fixture
def days():
    """Trading dates, each given out once: examples of a property share a lake."""
    return (MONDAY + timedelta(days=n) for n in count())


@given(prints=st.lists(PRINTS, min_size=1, max_size=25))
@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_summaries_are_those_of_a_slow_model(put, engine, days, prints):
    """Prices, sums and counts, with ties in time, prints off the market and duplicates."""
    day = next(days)
    rows = [trade(offset, trading_date=day, **kept) for offset, kept in enumerate(prints)]
    put("trades", rows)
    result = engine.summaries(SummariesRequest(start_date=day)).rows.to_pylist()
    expected = model(rows)
    assert list(expected) == [row["symbol"] for row in result]
    for row in result:
        assert expected[row["symbol"]] == {name: row[name] for name in expected[row["symbol"]]}


def test_a_summary_is_of_one_symbol_and_trading_date(put, engine):
    """Rows belong to a date by `trading_date`, not by their UTC day; each exchange has its own row."""
    put(
        "trades",
        [
            trade(0, price="10"),
            trade(1, price="20", micros=DAY_US, trading_date=MONDAY),
            trade(2, price="30", trading_date=date(2026, 1, 6)),
            trade(3, price="40", symbol="RIO"),
            trade(4, price="50", exchange="other", conditions=["1"]),
        ],
    )
    rows = engine.summary(SummaryRequest(symbol="BHP", date=MONDAY)).rows.to_pylist()
    assert [("asx", 10, 20, 2), ("other", 50, 50, 1)] == [
        (row["exchange"], row["open"], row["close"], row["trades"]) for row in rows
    ]
    assert 1 == engine.summary(SummaryRequest(symbol="BHP", date=MONDAY, exchange="asx")).rows.num_rows
    days = engine.summaries(SummariesRequest(start_date=MONDAY, end_date=date(2026, 1, 7), exchange="asx"))
    assert ["BHP", "BHP", "RIO"] == days.rows["symbol"].to_pylist()


def test_the_last_date_there_is_has_summaries(put, engine):
    """No date comes after it."""
    put("trades", [trade(0, trading_date=date.max), trade(1)])
    rows = engine.summaries(SummariesRequest(start_date=date.max)).rows.to_pylist()
    assert [(date.max, 1)] == [(row["trading_date"], row["trades"]) for row in rows]


def test_a_summary_says_what_it_left_out(put, engine):
    """Prints off the market, duplicates and open gaps are counted and said."""
    put(
        "gaps",
        [
            gap("opened", 1, 4, 6),
            gap("filled", 2, 4, 6),
            gap("opened", 3, 9, 9),
            gap("opened", 4, 7, 7, epoch=1),
        ],
    )
    put(
        "gaps",
        [gap("opened", 5, 1, 1, trading_date=None), gap("opened", 6, 1, 1, trading_date=date(2026, 1, 6))],
    )
    put("trades", [trade(0), trade(1, conditions=["3"]), trade(2, sequence_flag="duplicate")])
    result = engine.summary(SummaryRequest(symbol="BHP", date=MONDAY))
    assert {"duplicates_hidden": 1, "off_market_left_out": 1, "open_gaps": 3} == {
        notice.code: notice.count for notice in result.warnings
    }
    assert 3 == result.rows["open_gaps"][0].as_py()


def test_a_day_without_trades_is_empty(put, engine):
    """No row of nulls; an unknown symbol is said, a known one without trades that day is not."""
    put("trades", [trade(0)])
    assert [] == engine.summary(SummaryRequest(symbol="BHP", date=date(2026, 1, 6))).rows.to_pylist()
    unknown = engine.summary(SummaryRequest(symbol="NOPE", date=MONDAY))
    assert ["unknown_symbol"] == [notice.code for notice in unknown.warnings]


@pytest.mark.parametrize("rows", [101, 400])
def test_a_notional_beyond_38_digits_is_refused(put, engine, rows):
    """Both what DuckDB's sum detects and what it lets through."""
    put(
        "trades", [trade(n, price="9999999999.99999999", quantity="9999999999.99999999") for n in range(rows)]
    )
    with pytest.raises(OperatorError, match=r"does not fit"):
        engine.summary(SummaryRequest(symbol="BHP", date=MONDAY))


def test_an_exchange_without_rule_keeps_all_prints(put, settings, catalog):
    """What is off the market is said by the exchange's configuration and nowhere else."""
    put("trades", [trade(0, conditions=["1"])])
    engine = QueryEngine(settings, catalog, {})
    assert [1] == engine.summary(SummaryRequest(symbol="BHP", date=MONDAY)).rows["trades"].to_pylist()
    engine.close()
