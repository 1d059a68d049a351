"""Bars against a slow model in Decimal and calendar arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from k2app.errors import OperatorError, RequestError
from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.market.intervals import parse_interval
from k2app.query.bars.bars import SCHEMA
from k2app.query.bars.request import BarsRequest
from k2app.query.engine import QueryEngine
from k2app.query.queries import BARS_QUERY
from k2app.query.requests import make
from k2app.query.times import EPOCH
from k2app.settings import Settings
from tests.market_model import (
    EDGES,
    EXCHANGES_TOML,
    PRINTS,
    bar,
    interval_start,
    is_left_out,
    market,
    retract,
    shown,
)
from tests.query_lake import DAY_US, MONDAY_US, append, at, gap, trade

INTERVALS = ["1s", "7s", "1m", "90m", "5h", "1d", "3d", "1w"]

KEY = ("symbol", "exchange", "currency")


class Lake:
    """A lake that the examples of a property share: each has symbols of its own."""

    def __init__(self, home):
        self.settings = Settings(home=home)
        self.catalog = open_catalog(self.settings)
        create_tables(self.catalog, self.settings)
        (home / "exchanges.toml").write_text(EXCHANGES_TOML)
        self.engine = QueryEngine(self.settings, self.catalog, exchanges.load(home / "exchanges.toml"))
        self.numbers = count()

    def put(self, rows, data_type="trades"):
        return append(self.catalog, self.settings, data_type, rows)

    def bars(self, **asked):
        return self.engine.answer(BARS_QUERY, make(BarsRequest, **asked))

    def close(self):
        self.engine.close()
        self.catalog.close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    opened = Lake(tmp_path_factory.mktemp("bars"))
    yield opened
    opened.close()


def model(rows, asked):
    """Bars of visible rows in total order, filled as asked."""
    length = timedelta(microseconds=parse_interval(asked["interval"]).us)
    weekly = asked["interval"].endswith("w")
    groups = {}
    for row in rows:
        key = tuple(row[name] for name in KEY)
        start = interval_start(row["timestamp"], row["exchange"], length, weekly, asked["align"])
        groups.setdefault(key, {}).setdefault(start, []).append(row)
    found = []
    for key in sorted(groups):
        bars = {start: bar(trades) for start, trades in groups[key].items()}
        if asked["fill"] != "none":
            bars = filled(bars, key[1], length, weekly, asked)
        found += [
            {"timestamp": start, **dict(zip(KEY, key, strict=True)), **bars[start]} for start in sorted(bars)
        ]
    return found


def filled(bars, exchange, length, weekly, asked):
    """Bars of every interval; a step of a second finds every start, since all are whole seconds."""
    begin = asked.get("start") or min(bars)
    end = asked.get("end") or max(bars) + timedelta(microseconds=1)
    step = min(length, timedelta(hours=1))
    starts = {interval_start(begin, exchange, length, weekly, asked["align"])}
    moment = begin
    while moment < end:
        starts.add(interval_start(moment, exchange, length, weekly, asked["align"]))
        moment += step
    starts.add(interval_start(end - timedelta(microseconds=1), exchange, length, weekly, asked["align"]))
    full, close = {}, None
    for start in sorted(starts | set(bars)):
        price = close if asked["fill"] == "previous" else None
        nothing = dict.fromkeys(("open", "high", "low", "close"), price)
        nothing |= {
            "volume": 0,
            "vwap": None,
            "trades": 0,
            "notional": 0,
            "first_timestamp": None,
            "last_timestamp": None,
        }
        full[start] = bars.get(start, nothing)
        close = bars[start]["close"] if start in bars else close
    return full


def us(moment):
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


@given(
    prints=st.lists(PRINTS, min_size=1, max_size=30),
    interval=st.sampled_from(INTERVALS),
    align=st.sampled_from(["utc", "session"]),
    fill=st.sampled_from(["none", "null", "previous"]),
    start=st.none() | st.sampled_from(EDGES),
    hours=st.none() | st.sampled_from([1, 30, 24 * 14]),
    conditions=st.sampled_from(["rule", "all", "B"]),
    retracted=st.booleans(),
    limit=st.integers(1, 40),
)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_bars_of_any_market_are_those_of_a_slow_model(
    lake, prints, interval, align, fill, start, hours, conditions, retracted, limit
):
    """Ties, copies, retracted loads, prints off the market, clock changes; and pages of any size make the whole."""
    prefix = f"P{next(lake.numbers)}"
    rows = market(prints, prefix)
    lake.put(rows[::2])
    if rows[1::2]:
        lake.put(rows[1::2])
    if retracted:
        retract(lake.catalog, lake.settings, f"{prefix}gone", "trades")
    end = None if hours is None else (start or EDGES[0]) + timedelta(hours=hours)
    if fill != "none" and interval in {"1s", "7s"}:
        interval = "10m"
    asked = {"interval": interval, "align": align, "fill": fill, "start": start, "end": end}
    inside = [
        row for row in rows
        if (start is None or row["timestamp"] >= start) and (end is None or row["timestamp"] < end)
    ]  # fmt: skip
    visible = shown(inside, f"{prefix}gone" if retracted else None)
    left_out = {"rule": is_left_out, "all": lambda _: False, "B": lambda row: "B" in row["conditions"]}[
        conditions
    ]
    expected = model([row for row in visible.rows if not left_out(row)], asked)
    question = {
        **asked, "start": us(start), "end": us(end), "symbol": (f"{prefix}A", f"{prefix}B"),
        "all_conditions": conditions == "all", "exclude_conditions": ("B",) if conditions == "B" else (),
    }  # fmt: skip
    whole = lake.bars(**question, limit=100_000)
    assert expected == whole.rows.to_pylist()
    assert SCHEMA == whole.rows.schema
    notices = {notice.code: notice.count for notice in whole.warnings}
    assert visible.duplicates == notices.get("duplicates_hidden", 0)
    assert visible.retracted == notices.get("retracted_hidden", 0)
    assert sum(map(left_out, visible.rows)) == notices.get("off_market_left_out", 0)
    limit = max(limit, len(expected) // 6 + 1)
    paged, cursor = [], None
    while True:
        page = lake.bars(**question, limit=limit, cursor=cursor)
        assert page.rows.num_rows <= limit
        paged += page.rows.to_pylist()
        cursor = page.next
        if cursor is None:
            break
    assert expected == paged


@pytest.fixture
def bars(engine):
    return lambda **asked: engine.answer(BARS_QUERY, make(BarsRequest, **asked))


def test_a_session_day_is_a_trading_date_across_the_change_of_clocks(put, bars):
    """The Sydney day on which clocks go back lasts 25 hours, and so does its bar."""
    midnight = datetime(2026, 4, 4, 13, tzinfo=UTC)
    moments = [
        midnight - timedelta(seconds=1),
        midnight,
        midnight + timedelta(hours=24, minutes=59),
        midnight + timedelta(hours=25),
    ]
    put("trades", [trade(n, timestamp=moment) for n, moment in enumerate(moments)])
    rows = bars(interval="1d", align="session").rows.to_pylist()
    expected = [(midnight - timedelta(days=1), 1), (midnight, 2), (midnight + timedelta(hours=25), 1)]
    assert expected == [(row["timestamp"], row["trades"]) for row in rows]


def test_an_unaligned_range_has_partial_bars_and_says_so(put, bars):
    """Only trades in [start, end) count; an aligned range says nothing."""
    put("trades", [trade(n, micros=n * 10_000_000, price=str(n + 1)) for n in range(12)])
    result = bars(start=MONDAY_US + 30_000_000, end=MONDAY_US + 90_000_000)
    assert [(at(0), 4, 3), (at(60_000_000), 7, 3)] == [
        (row["timestamp"], row["open"], row["trades"]) for row in result.rows.to_pylist()
    ]
    assert {"partial_bars": 2} == {notice.code: notice.count for notice in result.warnings}
    assert () == bars(start=MONDAY_US, end=MONDAY_US + 60_000_000).warnings


def test_gaps_and_unknown_symbols_are_said(put, bars):
    """As trades say them."""
    put("gaps", [gap("opened", 1, 4, 6)])
    put("trades", [trade(0), trade(1, conditions=["3"]), trade(2, sequence_flag="duplicate")])
    result = bars(symbol=("BHP", "NOPE"))
    assert {"duplicates_hidden": 1, "off_market_left_out": 1, "open_gaps": 1, "unknown_symbol": 1} == {
        notice.code: notice.count for notice in result.warnings
    }


def test_a_lake_without_trades_has_no_bars(bars):
    """Empty, with its columns, and it says why."""
    result = bars(align="session", fill="previous", start=MONDAY_US, end=MONDAY_US + DAY_US)
    assert (0, SCHEMA) == (result.rows.num_rows, result.rows.schema)
    assert ["nothing_committed"] == [notice.code for notice in result.warnings]


@pytest.mark.parametrize("rows", [101, 400])
def test_a_notional_beyond_38_digits_is_refused(put, bars, rows):
    """Both what DuckDB's sum detects and what it lets through."""
    largest = "9999999999.99999999"
    put("trades", [trade(n, price=largest, quantity=largest) for n in range(rows)])
    with pytest.raises(OperatorError, match=r"does not fit"):
        bars()


def test_ties_in_everything_but_the_log_follow_the_total_order(put, bars):
    """Rows of two logs and partitions: no number tells them apart, the columns do."""
    other = {"micros": 5, "sequence": None}
    put("trades", [trade(9, price="1", partition=1, **other), trade(3, price="2", partition=2, **other)])
    put("trades", [trade(1, price="3", log_id="0", **other), trade(7, price="4", partition=0, **other)])
    put("trades", [trade(5, price="5", partition=3, **{**other, "sequence": -(2**63)})])
    put("trades", [trade(6, price="6", partition=3, **{**other, "sequence": 2**63 - 1})])
    (row,) = bars().rows.to_pylist()
    assert (Decimal(3), Decimal(6)) == (row["open"], row["close"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"interval": "1"}, "interval: .*not an interval.*1w"),
        ({"interval": "0m"}, "interval: .*not an interval"),
        ({"interval": "1M"}, "interval: .*not an interval"),
        ({"interval": "4000d"}, "interval: .*not an interval"),
        ({"interval": "36h", "align": "session"}, "interval: 36h is no whole number of days"),
        ({"all_conditions": True, "exclude_conditions": ("1",)}, "all_conditions: .*exclude_conditions"),
        ({"limit": 100_001}, "limit: .*100000"),
        (
            {"fill": "null", "interval": "1s", "start": MONDAY_US, "end": MONDAY_US + 20 * DAY_US},
            "fill: .*1728001 bars",
        ),
        (
            {"align": "session", "fill": "null", "interval": "1d", "start": -(62 * 10**15)},
            "align: .*100000 days",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(put, bars, asked, message):
    """The parameter, and the way out."""
    put("trades", [trade(0)])
    with pytest.raises(RequestError, match=message):
        bars(**asked)


def test_a_cursor_stays_on_its_snapshot_and_question(put, bars):
    """Later trades change no page; another interval is another question."""
    put("trades", [trade(n, micros=n * 60_000_000) for n in range(4)])
    first = bars(limit=2)
    put("trades", [trade(n + 10, micros=n * 60_000_000, price="9") for n in range(6)])
    second = bars(limit=5, cursor=first.next)
    assert [1, 1] == second.rows["close"].to_pylist()
    assert first.snapshots == second.snapshots
    with pytest.raises(RequestError, match=r"^cursor: .*other parameters"):
        bars(limit=2, cursor=first.next, interval="2m")
