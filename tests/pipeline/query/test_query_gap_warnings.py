"""Warnings of gaps in a range: those of all events, though few of them are read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.requests import GapsRequest, RowsRequest, make
from k2app.settings import Settings
from tests.query_lake import DAY_US, MONDAY, MONDAY_US, append, gap, trade

HOUR_US = DAY_US // 24

SYMBOLS = ("BHP", "CBA")


def events():
    """Gaps of four dates and two symbols, some of each without a date; a third filled, by records of earlier times."""
    for number in range(32):
        day, symbol = number % 4, SYMBOLS[number // 4 % 2]
        scope = {
            "symbol": symbol,
            "trading_date": None if number % 8 > 5 else MONDAY + timedelta(days=day),
        }
        start = 10 * number + 1
        seen = day * DAY_US + number // 4 * HOUR_US // 2
        yield gap("opened", 2 * number, start, start + 4, micros=seen, **scope)
        if number % 3 == 0:
            filled = start + (4 if number % 2 else 1)
            yield gap("filled", 2 * number + 1, start, filled, micros=max(0, seen - 2 * DAY_US), **scope)


@pytest.fixture(scope="module")
def gapped(tmp_path_factory):
    """Engine over a trade and the gaps of four days, in files of a few events."""
    settings = Settings(home=tmp_path_factory.mktemp("gapped"))
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    rows = list(events())
    for start in range(0, len(rows), 16):
        append(catalog, settings, "gaps", rows[start : start + 16])
    append(catalog, settings, "trades", [trade(0)])
    engine = QueryEngine(settings, catalog, exchanges.load())
    yield engine
    engine.close()
    catalog.close()


def warned(engine, request):
    return [notice.count for notice in engine.trades(request).warnings if notice.code == "open_gaps"]


@given(
    symbols=st.sampled_from([(), ("BHP",), SYMBOLS]),
    start=st.none() | st.integers(0, 100),
    hours=st.none() | st.integers(1, 100),
)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_gaps_of_a_range_are_those_of_the_whole_state(gapped, symbols, start, hours):
    """What was filled does not count, whenever; of each date the first gap after the end does, if it began before."""
    start_us = None if start is None else MONDAY_US + start * HOUR_US
    end_us = None if hours is None else MONDAY_US + ((start or 0) + hours) * HOUR_US
    states = gapped.gaps(make(GapsRequest, open_only=True)).rows.to_pylist()
    seen = [
        row | {"us": round(row["timestamp"].timestamp() * 1e6)}
        for row in states
        if not symbols or row["symbol"] in symbols
    ]
    seen = [row for row in seen if start_us is None or row["us"] >= start_us]
    inside = [row for row in seen if end_us is None or row["us"] < end_us]
    first = {}
    for row in seen:
        if row not in inside and row["trading_date"] is not None:
            place = (row["symbol"], row["trading_date"])
            first[place] = min(first.get(place, row), row, key=lambda one: one["from_sequence"])
    # No record stands before any of these holes: the date decides. Sydney's is ahead of UTC by eleven hours.
    began = [
        row
        for row in first.values()
        if row["trading_date"] <= MONDAY + timedelta(microseconds=end_us - 1 - MONDAY_US + 11 * HOUR_US)
    ]
    count = len(inside) + len(began)
    request = make(RowsRequest, symbol=symbols, start=start_us, end=end_us)
    assert ([count] if count else []) == warned(gapped, request)
