"""The hand-written ASX files through loader, worker and queries, compared with the files themselves."""

from decimal import Decimal

import pytest

from tests import asx_oracle
from tests.pipeline.homes import stopped
from tests.pipeline.load.commands import ASX_FILES, asx_trades

TRADES = [ASX_FILES / name for name in ("9001.csv", "daylight-saving-ends.csv", "daylight-saving-starts.csv")]
"""In the order in which they are loaded."""

QUOTES = ASX_FILES / "asx-quotes-KTO.csv"
INFO = ASX_FILES / "company-info.csv"

QUESTIONS = (
    ("trades", "--symbol", "KTO", "--limit", "1000"),
    ("quotes", "--symbol", "KTO", "--limit", "1000"),
    ("summaries", "--start-date", "2014-01-01", "--end-date", "2015-01-01"),
    ("symbols",),
    ("gaps", "--events"),
)


@pytest.fixture
def loaded(k2, home):
    """A home with a worker at work, and the files in its lake."""
    _ = home.log
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.1")):
        # First, because `symbols` reads names as of the newest trade or quote.
        reference = k2(INFO, "--profile", "asx", "--type", "reference_data", "--wait")
        assert f"{INFO}: in the lake: rows 2\n" in reference.out
        assert ["first 2, ok 7", "first 1, ok 2", "first 1, ok 1", "first 1, ok 4"] == load(k2)
        yield k2


def load(k2) -> list[str]:
    """Load the trades and the quotes; the lines that say what the lake has."""
    trades = k2(*TRADES, "--profile", "asx", "--type", "trades", "--symbol", "KTO", "--wait")
    quotes = k2(QUOTES, "--profile", "asx", "--type", "quotes", "--reference", INFO, "--wait")
    assert [0, 0] == [done.status for done in (trades, quotes)], trades.err + quotes.err
    lines = (trades.out + quotes.out).splitlines()
    return [line.split(": in the lake: ")[1] for line in lines if ": in the lake: " in line]


def test_the_lake_says_what_the_files_say(loaded):
    """Rows, numbers, flags, days, counts, one for one; and a second load changes no answer."""
    numbers = asx_oracle.Numbers()
    trades = [row for path in TRADES for row in asx_oracle.trades(path, "KTO", numbers)]
    quotes = asx_oracle.quotes(QUOTES, "KTO", asx_oracle.Numbers())
    answers = [loaded.ask(*question) for question in QUESTIONS]
    found_trades, found_quotes, found_days, found_symbols, found_gaps = (one["rows"] for one in answers)

    assert asx_oracle.in_order(trades) == asx_oracle.like(trades, found_trades)
    assert asx_oracle.in_order(quotes) == asx_oracle.like(quotes, found_quotes)
    days = asx_oracle.summaries(trades)
    assert days == asx_oracle.like(days, found_days)
    assert [("KTO", "K TWO MINING LTD", 14, 5)] == [
        (one["symbol"], one["name"], one["trades"], one["quotes"]) for one in found_symbols
    ]
    assert [] == found_gaps

    assert ["duplicate 9", "duplicate 3", "duplicate 2", "duplicate 5"] == load(loaded)
    again = [loaded.ask(*question) for question in QUESTIONS]
    assert [asx_oracle.said(one) for one in answers] == [asx_oracle.said(one) for one in again]
    every = loaded.ask("trades", "--symbol", "KTO", "--limit", "1000", "--include-duplicates")
    assert 28 == len(every["rows"])


def test_traps_of_the_files(loaded):
    """What spoils a naive reading, written down by hand."""
    day = loaded.ask("summary", "KTO", "2014-03-10")["rows"][0]
    # An auction print at 0.71, three prints off the market and a venue X between 0.66 and 0.675 set nothing.
    assert ["0.67", "0.67", "0.6649", "0.6649"] == [day[name] for name in ("open", "high", "low", "close")]
    assert ("0.6699612", "9859", 4, "5089", 4) == (
        day["vwap"],
        day["volume"],
        day["trades"],
        day["off_market_volume"],
        day["off_market_trades"],
    )

    trades = loaded.ask("trades", "--symbol", "KTO")["rows"]
    twins = [one for one in trades if one["quantity"] == "784"]
    assert [(3, "ok"), (4, "ok")] == [(one["sequence"], one["sequence_flag"]) for one in twins]
    [with_buyer] = [one for one in trades if one["quantity"] == "120"]
    assert ("0.675", {"venue": "X", "buyer_id": "0.675"}) == (with_buyer["price"], with_buyer["attributes"])

    times = [one["timestamp"] for one in trades if one["quantity"] in ("1", "2", "3")]
    # 02:30 came twice in April (the first was taken) and never in October.
    assert [
        *("2014-04-05T14:59:59.999000Z", "2014-04-05T15:30:00.000000Z", "2014-04-05T17:00:00.000000Z"),
        *("2014-10-04T15:59:59.999000Z", "2014-10-04T16:00:00.000000Z"),
    ] == times

    sides = [
        (one["bid_price"], one["bid_quantity"], one["ask_price"], one["ask_quantity"])
        for one in loaded.ask("quotes", "--symbol", "KTO")["rows"]
    ]
    assert [
        ("0.66", "24999", None, None),
        ("0.66", "24999", "0.67", "13469"),
        ("0.68", "15000", "0.67", "13469"),
        (None, None, "0.6725", "300"),
        (None, None, None, None),
    ] == sides


def test_another_file_of_the_day_goes_on(loaded):
    """Its rows are new: they join the day's volume, and no gap opens."""
    name = loaded.write("evening.csv", asx_trades(4))
    done = loaded(name, "--profile", "asx", "--type", "trades", "--symbol", "KTO", "--wait")
    assert "evening.csv: in the lake: ok 4\n" in done.out
    [day] = loaded.ask("summary", "KTO", "2014-03-10")["rows"]
    assert Decimal(9859 + 1 + 2 + 3 + 4) == Decimal(day["volume"])
    assert 0 == day["open_gaps"]
