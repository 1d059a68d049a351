"""Bars, summaries and trades with their quotes, of the exchange's own files, against `csv` and Decimal."""

from __future__ import annotations

import datetime as dt

import pytest

from k2app.lake.catalog import open_catalog
from tests import asx_oracle
from tests.e2e import csv_bars, csv_rows
from tests.e2e.answer_forms import FORMS, Asking, in_csv, plain
from tests.e2e.csv_market import Market, murmur2
from tests.exchange_files import INFO, exchange_files, symbols
from tests.pipeline.homes import Home
from tests.pipeline.operate.commands import k2
from tests.web.live import live

pytestmark = pytest.mark.real_data

TYPES = {"trades": asx_oracle.trades, "quotes": asx_oracle.quotes}

PAGE = 50


def read(folder) -> Market:
    """What the files say."""
    market = Market()
    for data_type, of_file in TYPES.items():
        numbers = asx_oracle.Numbers()
        for symbol in symbols(folder):
            for row in of_file(folder / f"asx-{data_type}-{symbol}.csv", symbol, numbers):
                at = {
                    "topic": f"market.equities.{data_type}.asx",
                    "partition": (murmur2(symbol.encode()) & 0x7FFFFFFF) % 2,
                    "offset": len(market.rows[data_type]),
                }
                market.rows[data_type].append(_typed(row) | at)
    return market


def _typed(row):
    """A row as `csv_rows` has it."""
    return {
        "is_copy": False,
        "is_retracted": False,
        "conditions": [],
        "side": "UNKNOWN",
        "asset_class": "equities",
        **row,
    } | {
        "timestamp": dt.datetime.fromisoformat(row["timestamp"]),
        "trading_date": dt.date.fromisoformat(row["trading_date"]),
    }


@pytest.fixture(scope="module")
def market():
    """What the files say."""
    return read(exchange_files())


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A server over the lake that the files were loaded into."""
    folder = exchange_files()
    home = Home(tmp_path_factory.mktemp("real") / "home")
    for data_type in TYPES:
        names = [str(folder / f"asx-{data_type}-{symbol}.csv") for symbol in symbols(folder)]
        k2(home, "load", *names, "--profile", "asx", "--type", data_type, "--reference", str(folder / INFO))
    home.drain(K2_LOGS_LEVEL="warning")
    catalog = open_catalog(home.settings)
    with live((home.settings, catalog)) as server:
        yield Asking(server)
    catalog.close()


def assert_told(asking, path, expected, **asked):
    """Pages and every streamed form are what is expected."""
    assert expected
    assert plain(expected) == plain(asking.pages(path, PAGE, **asked))
    for form in FORMS[1:]:
        assert (in_csv(expected) if form == "csv" else plain(expected)) == asking.rows(path, form, **asked)


@pytest.mark.parametrize("rule", [{}, {"all_conditions": True}, {"exclude_conditions": ["0", "2"]}])
@pytest.mark.parametrize(
    ("interval", "align", "fill"),
    [
        ("1s", "utc", "none"),
        ("5m", "session", "none"),
        ("1h", "utc", "previous"),
        ("7h", "session", "null"),
        ("1d", "session", "none"),
        ("1d", "utc", "previous"),
        ("1w", "session", "none"),
    ],
)
def test_bars_of_real_files_are_those_of_csv_and_decimal(asking, market, interval, align, fill, rule):
    """Both symbols, every session, prints off the market, ties in the files' order."""
    asked = {"interval": interval, "align": align, "fill": fill, **rule}
    assert_told(asking, "/v1/bars", csv_bars.bars(market, asked), **asked)


def test_summaries_of_real_files_are_those_of_csv_and_decimal(asking, market):
    """Every date of both symbols, and each alone."""
    dates = {row["trading_date"] for row in market.rows["trades"]}
    start, end = min(dates), max(dates) + dt.timedelta(days=1)
    expected = csv_bars.summaries(market, start, end, {})
    found = asking.page("/v1/summary", start_date=start, end_date=end)["rows"]
    assert plain(expected) == found
    for row in expected:
        alone = asking.page(f"/v1/summary/{row['symbol']}/{row['trading_date']}")["rows"]
        assert plain([row]) == alone


@pytest.mark.parametrize("match", ["at", "before"])
@pytest.mark.parametrize("age", [None, ("1s", dt.timedelta(seconds=1)), ("2h", dt.timedelta(hours=2))])
def test_real_trades_stand_beside_the_quotes_of_csv_and_decimal(asking, market, match, age):
    """The last quote at or before each trade, crossed and one-sided books too."""
    text, length = age or (None, None)
    expected = csv_rows.taq(market, {"match": match, "max_age": length})
    assert_told(asking, "/v1/taq", expected, match=match, max_age=text)
