"""Exchanges from the shipped file and the user's."""

from __future__ import annotations

import pytest

from k2app.errors import OperatorError
from k2app.market.exchanges import load
from k2app.market.sequence_rules import Rule
from k2app.market.topics import DataType

NYSE = """
[nyse]
asset_class = "equities"
time_zone = "America/New_York"
session_start = "04:00"
currency = "USD"
partitions = 8
sequences.trades = { kind = "increasing" }
sequences.quotes = { kind = "none" }
"""


SHIPPED = ["asx", "binance", "generic", "binance-usdm", "us-stocks"]


@pytest.fixture
def user_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_shipped_exchanges():
    """ASX, Binance, US stocks and a generic one ship, with the rules of their sources."""
    exchanges = load(None)
    assert list(exchanges) == SHIPPED
    asx = exchanges["asx"]
    assert (
        asx.asset_class,
        asx.time_zone,
        asx.currency,
        asx.partitions,
    ) == ("equities", "Australia/Sydney", "AUD", 4)
    assert (asx.off_market.conditions, asx.off_market.venues) == (("1", "3", "9"), ("X",))
    assert asx.rule(DataType.TRADES).text() == "contiguous trading_date first=1"
    assert asx.rule(DataType.REFERENCE_DATA).text() == "none"
    assert exchanges["binance"].rule(DataType.TRADES).text() == "contiguous continuous"
    assert exchanges["binance"].rule(DataType.QUOTES).text() == "increasing continuous"
    assert exchanges["generic"].rule(DataType.TRADES).text() == "increasing continuous"
    assert [asx.topic_partitions(kind) for kind in (DataType.QUOTES, DataType.REFERENCE_DATA)] == [4, 1]


def test_exchanges_that_few_need_ship_and_are_served_on_request():
    """Each that is served costs every start of a worker: two wait until `K2_EXCHANGES` names them."""
    exchanges = load(None)
    assert list(exchanges.served("")) == ["asx", "binance", "generic"]
    assert list(exchanges.served(" us-stocks,asx ")) == ["us-stocks", "asx"]
    assert exchanges["us-stocks"].rule(DataType.TRADES).text() == "increasing trading_date"
    assert exchanges["us-stocks"].time_zone == "America/New_York"
    assert exchanges["binance-usdm"].rule(DataType.TRADES).text() == "contiguous continuous"
    assert exchanges["binance-usdm"].asset_class == "futures"


def test_an_exchange_on_request_is_made_an_ordinary_one(user_file):
    """One line of the user's file."""
    exchanges = load(user_file("us-stocks.on_request = false\n"))
    assert list(exchanges.served("")) == ["asx", "binance", "generic", "us-stocks"]


def test_user_adds_an_exchange(user_file):
    """It stands beside the shipped ones."""
    exchanges = load(user_file(NYSE))
    assert list(exchanges) == [*SHIPPED, "nyse"]
    assert Rule(kind="none") == exchanges["nyse"].sequences.quotes
    assert exchanges["nyse"].off_market.conditions == ()


def test_user_overrides_single_keys(user_file):
    """What is not said again stays as shipped."""
    asx = load(user_file('[asx]\npartitions = 16\n[asx.sequences]\nquotes = {kind = "none"}'))["asx"]
    assert asx.partitions == 16
    assert asx.sequences.quotes.text() == "none"
    assert asx.sequences.trades.text() == "contiguous trading_date first=1"
    assert asx.off_market.venues == ("X",)


def test_unknown_exchange_is_named():
    """The error lists those that are configured."""
    with pytest.raises(OperatorError, match="'nyse' is not configured; configured are asx, binance, generic"):
        load().named("nyse")
    assert load().named("asx").name == "asx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[asx]\ntime_zone = "Sydney"', r"\[asx\] time_zone = 'Sydney': .*not an IANA time zone"),
        ('[asx]\ntime_zone = "../x"', r"\[asx\] time_zone = '../x': .*not an IANA time zone"),
        ('[asx]\nsession_start = "25:00"', r"\[asx\] session_start = '25:00': takes a local time HH:MM"),
        ('[asx]\ncurrency = "aud"', r"\[asx\] currency = 'aud': takes 2 to 12 capital letters"),
        ("[asx]\npartitions = 0", r"\[asx\] partitions = 0: .*greater than or equal to 1"),
        ('[asx]\npartitions = "4"', r"\[asx\] partitions = '4': .*valid integer"),
        ('[asx]\nasset_class = "bonds"', r"\[asx\] asset_class = 'bonds': .*'equities'"),
        ('[asx]\nzone = "UTC"', r"\[asx\] zone = 'UTC': unknown key"),
        ('[asx]\nname = "x"', r"\[asx\] name: unknown key"),
        (
            '[asx.sequences]\ntrades = {kind = "odd"}',
            r"\[asx\] sequences.trades.kind = 'odd': .*'contiguous'",
        ),
        ('[asx.sequences]\ntrades = {kind = "none", first = 1}', r"\[asx\] sequences.trades.*no use"),
        ('[new]\nasset_class = "equities"', r"\[new\] time_zone: missing"),
        ("[NEW]\npartitions = 1", "exchange 'NEW' is not a valid name"),
        ("asx = 1", "asx = 1 stands outside any exchange"),
        ("[asx", "cannot be read"),
    ],
)
def test_mistake_in_the_users_file_is_explained(user_file, text, message):
    """The error names file, exchange, key, value and what it takes."""
    with pytest.raises(OperatorError, match=r"exchanges file .*mine\.toml: " + message):
        load(user_file(text))


def test_users_file_is_not_there(tmp_path):
    """The error names it."""
    with pytest.raises(OperatorError, match=r"gone\.toml: cannot be read"):
        load(tmp_path / "gone.toml")
