"""The profiles of vendors that ship, on rows made by hand after the vendors' documentation."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from load_files import column, configured, context, rejects, rows, write

from k2app.errors import OperatorError
from k2app.load import profiles, symbols
from k2app.load.reader import read
from k2app.market.topics import DataType

MS = 1_498_793_709_153
US = 1_735_689_600_000_123
AT_MS = datetime(2017, 6, 30, 3, 35, 9, 153_000, UTC)
AT_US = datetime(2025, 1, 1, 0, 0, 0, 123, UTC)

FUTURES = "id,price,qty,quote_qty,time,is_buyer_maker\n"
AGG_FUTURES = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"

DATABENTO = "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence"
TRADES = f"{DATABENTO},symbol\n"
MBP = f"{DATABENTO},bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,bid_ct_00,ask_ct_00,symbol\n"
NS = 1_394_427_600_123_456_789
NO_PRICE = 2**63 - 1

MASSIVE_TRADES = (
    "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,"
    "tape,trf_id,trf_timestamp\n"
)
MASSIVE_QUOTES = (
    "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,"
    "participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp\n"
)


def read_as(folder, profile, text, data_type=DataType.TRADES, name="day.csv", symbol=None):
    """Read a text as a file of this name, with the symbol that the name says if the profile looks for one."""
    path, how = write(folder, text, name), profiles.load(profile)
    shape = how.shape(data_type)
    asked = symbols.resolve(path, shape, symbol, None)
    return list(read(path, how, data_type, context(how.exchange, asked, shape.sequence)))


def spot(**cells):
    row = {"id": "7", "price": "0.01633102", "qty": "4.5", "quote": "0.07", "time": str(US), "maker": "True"}
    return ",".join((row | cells).values()) + ",True\n"


def reasons(blocks):
    return [(one.field, one.reason) for one in rejects(blocks)]


# --- binance


def test_spot_trades_of_binance(tmp_path):
    """No header; the maker's side says the taker's; a time is in milliseconds or microseconds by its size."""
    text = spot(time=str(MS)) + spot(id="8", maker="False")
    first, second = rows(read_as(tmp_path, "binance", text, name="BTCUSDT-trades-2025-01-01.csv"))
    names = (
        "symbol",
        "exchange",
        "currency",
        "price",
        "quantity",
        "trade_id",
        "sequence",
        "side",
        "timestamp",
    )
    price, quantity = Decimal("0.01633102"), Decimal("4.5")
    assert ["BTCUSDT", "binance", "USDT", price, quantity, "7", 7, "SELL", AT_MS] == [first[n] for n in names]
    assert ["8", 8, "BUY", AT_US] == [second[n] for n in names[5:]]
    assert [("quote_qty", "0.07"), ("is_best_match", "True")] == first["attributes"]
    assert [1, 2] == [first["source_line"], second["source_line"]]


@pytest.mark.parametrize("header", [FUTURES, ""])
def test_futures_trades_of_binance(tmp_path, header):
    """Six columns, with a header since August 2022, without one before."""
    text = header + f"28457,4.00000100,12.00000000,48.00,{MS},true\n28458,4.1,1,4.1,{MS},false\n"
    blocks = read_as(tmp_path, "binance", text, name="BTCUSDT_210326-trades-2021-01.csv")
    assert ["SELL", "BUY"] == column(blocks, "side")
    assert [AT_MS, AT_MS] == column(blocks, "timestamp")
    assert ["BTCUSDT_210326"] * 2 == column(blocks, "symbol")
    assert [("quote_qty", "48.00")] == column(blocks, "attributes")[0]
    assert [] == rejects(blocks)


def test_coin_margined_trades_of_binance(tmp_path):
    """The header calls the fourth column base_qty; contracts are in dollars."""
    text = FUTURES.replace("quote_qty", "base_qty") + f"28457,9635.0,1,0.01037883,{MS},true\n"
    [found] = rows(read_as(tmp_path, "binance", text, name="BTCUSD_PERP-trades-2021-01.csv"))
    assert ("BTCUSD_PERP", "USD") == (found["symbol"], found["currency"])
    assert [("base_qty", "0.01037883")] == found["attributes"]


@pytest.mark.parametrize(
    ("symbol", "currency"),
    [
        ("BTCUSDT", "USDT"),
        ("BTCFDUSD", "FDUSD"),
        ("ETHBTC", "BTC"),
        ("ADAEUR", "EUR"),
        ("EURUSDT", "USDT"),
        ("USDTTRY", "TRY"),
        ("BTCUSDT_210326", "USDT"),
        ("BTCUSD_210326", "USD"),
        ("NEWCOIN", "USDT"),
    ],
)
def test_the_currency_is_the_end_of_the_symbol(tmp_path, symbol, currency):
    """Where none is known there, it is the exchange's."""
    blocks = read_as(tmp_path, "binance", spot(), name=f"{symbol}-trades-2025-01-01.csv")
    assert [currency] == column(blocks, "currency")


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        ({"time": "1735689600"}, "timestamp", "'1735689600' is not an integer time in ms or us"),
        ({"time": "1735689600000000123"}, "timestamp", "is not an integer time in ms or us"),
        ({"time": "2025-01-01T00:00:00Z"}, "timestamp", "is not an integer time in ms or us"),
        ({"maker": "yes"}, "side", "'yes' is not one of True, False, true, false"),
        ({"id": "-7"}, "sequence", "is not a whole number"),
        ({"qty": "-1"}, "quantity", "'-1' is below zero"),
        ({"price": "1e3"}, "price", "'1e3' is not a decimal number"),
        ({"price": "0.000000001"}, "price", "has more than 8 decimal places"),
        ({"price": ""}, "price", "missing"),
    ],
)
def test_a_row_of_binance_that_is_off_spec(tmp_path, cells, field, reason):
    """It is a reject with the field and the reason; its neighbours are read."""
    blocks = read_as(tmp_path, "binance", spot() + spot(**cells), name="BTCUSDT-trades-2025-01-01.csv")
    [(where, why)] = reasons(blocks)
    assert (field, 1) == (where, len(rows(blocks)))
    assert reason in why


def test_a_row_with_a_cell_too_few(tmp_path):
    """The first row says how many columns there are; a row with another number is a reject."""
    short = f"8,1,1,1,{US},True\n"
    blocks = read_as(tmp_path, "binance", spot() + short, name="BTCUSDT-trades-2025-01-01.csv")
    assert [(None, "has 6 cells instead of 7")] == reasons(blocks)


def test_a_header_with_a_misspelt_column(tmp_path):
    """It is refused: as a row of data it would let the profile's order of columns be taken for the file's."""
    text = FUTURES.replace("price", "prise") + f"1,2,3,4,{MS},true\n"
    with pytest.raises(OperatorError, match=r"lacks price \(column 'prise': did you mean 'price'\?\)"):
        read_as(tmp_path, "binance", text, name="BTCUSDT-trades-2025-01.csv")


def test_a_header_in_another_order(tmp_path):
    """Columns are matched by name."""
    text = f"is_buyer_maker,time,qty,price,id\ntrue,{MS},3,2,1\n"
    [found] = rows(read_as(tmp_path, "binance", text, name="BTCUSDT-trades-2025-01.csv"))
    assert (1, Decimal(2), Decimal(3), None) == tuple(
        found[n] for n in ("sequence", "price", "quantity", "attributes")
    )


def test_the_name_of_a_file_of_binance(tmp_path):
    """It says the symbol; a file of the other kind of trades is refused."""
    path = tmp_path / "1000SHIBUSDT-trades-2025-01.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1000SHIBUSDT-trades-2025-01.csv", spot())
    shape = profiles.load("binance").shape(DataType.TRADES)
    assert "1000SHIBUSDT" == symbols.resolve(path, shape, None, None)
    [block] = read(path, profiles.load("binance"), DataType.TRADES, context("binance", "1000SHIBUSDT"))
    assert 1 == block.rows.num_rows
    for name in ("BTCUSDT-aggTrades-2025-01-01.csv", "trades.csv"):
        with pytest.raises(OperatorError, match="the name does not say the symbol"):
            symbols.resolve(Path(name), shape, None, None)


@pytest.mark.parametrize(
    ("header", "last", "more"),
    [("", ",True", [("is_best_match", "True")]), (AGG_FUTURES, "", []), ("", "", [])],
)
def test_aggregate_trades_of_binance(tmp_path, header, last, more):
    """Spot with eight columns, futures with seven, with header or without."""
    text = f"{header}26129,0.01633102,4.70443515,27781,27783,{MS},True{last}\n"
    [found] = rows(read_as(tmp_path, "binance-agg", text, name="ETHBTC-aggTrades-2017-06.csv"))
    names = ("symbol", "currency", "sequence", "trade_id", "quantity", "side", "timestamp")
    expected = ["ETHBTC", "BTC", 26129, "26129", Decimal("4.70443515"), "SELL", AT_MS]
    assert expected == [found[n] for n in names]
    assert [("first_trade_id", "27781"), ("last_trade_id", "27783"), *more] == found["attributes"]


# --- databento


@pytest.mark.parametrize(
    ("time", "price"), [(NS, 3_720_250_000_000), ("2014-03-10T05:00:00.123456789Z", "3720.250000000")]
)
def test_trades_of_databento_plain_and_pretty(tmp_path, time, price):
    """The same rows; what a microsecond cannot hold is kept beside it, and what has no field as attributes."""
    text = TRADES + "".join(
        f"1,{time},0,1,5482,T,{side},0,{price},3,128,17214,1170352,ESH4\n" for side in ("A", "B", "N")
    )
    blocks = read_as(tmp_path, "databento", text)
    assert ["SELL", "BUY", "UNKNOWN"] == column(blocks, "side")
    found = rows(blocks)[0]
    assert ("ESH4", Decimal("3720.25"), Decimal(3), 1170352) == tuple(
        found[n] for n in ("symbol", "price", "quantity", "sequence")
    )
    assert datetime(2014, 3, 10, 5, 0, 0, 123_456, UTC) == found["timestamp"]
    kept = {
        "ts_recv": "1",
        "publisher_id": "1",
        "instrument_id": "5482",
        "depth": "0",
        "flags": "128",
        "ts_in_delta": "17214",
        "timestamp_ns": str(NS),
    }
    assert kept == dict(found["attributes"])


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (f"1,{NS},0,1,2,A,A,0,5000000000,3,0,0,1,E", "action", "'A' is not one of T"),
        (f"1,{NS},0,1,2,,A,0,5000000000,3,0,0,1,E", "action", "'' is not one of T"),
        (f"1,{NS},0,1,2,T,X,0,5000000000,3,0,0,1,E", "side", "'X' is not one of A, B, N"),
        (f"1,{NS},0,1,2,T,A,0,{NO_PRICE},3,0,0,1,E", "price", "missing"),
        (f"1,{NS},0,1,2,T,A,0,1,3,0,0,1,E", "price", "'1' has more than 8 decimal places"),
        ("1,18446744073709551615,0,1,2,T,A,0,5000000000,3,0,0,1,E", "timestamp", "or an integer time in ns"),
        ("1,2014-03-10T05:00:00.123456789,0,1,2,T,A,0,5.0,3,0,0,1,E", "timestamp", "has no zone"),
    ],
)
def test_a_row_of_databento_that_is_no_trade(tmp_path, row, field, reason):
    """Events other than trades, and what is undefined, are rejects; nothing is rounded."""
    good = f"1,{NS},0,1,2,T,A,0,5000000000,3,0,0,1,E\n"
    blocks = read_as(tmp_path, "databento", f"{TRADES}{good}{row}\n")
    [(where, why)] = reasons(blocks)
    assert (field, 1) == (where, len(rows(blocks)))
    assert reason in why


@pytest.mark.parametrize("undefined", [NO_PRICE, ""])
def test_quotes_of_databento(tmp_path, undefined):
    """The top of the book after each event; a side without price is null, with its quantity."""
    ask = "100.000000000" if undefined == "" else 100 * 10**9
    text = f"{MBP}1,{NS},1,1,2,A,A,0,5,3,128,7,44,{undefined},{ask},0,5,0,2,ESH4\n"
    [found] = rows(read_as(tmp_path, "databento", text, DataType.QUOTES))
    names = ("symbol", "sequence", "bid_price", "bid_quantity", "ask_price", "ask_quantity")
    assert ["ESH4", 44, None, None, Decimal(100), Decimal(5)] == [found[n] for n in names]
    attributes = dict(found["attributes"])
    assert ("A", "A", "0", "2") == tuple(attributes[n] for n in ("action", "side", "bid_ct_00", "ask_ct_00"))


def test_databento_without_the_symbol_column(tmp_path):
    """It was not asked for: with --symbol the file is one instrument's, without it is refused."""
    text = f"{DATABENTO}\n1,{NS},0,1,2,T,A,0,5000000000,3,0,0,1\n"
    with pytest.raises(OperatorError, match="the header lacks symbol"):
        read_as(tmp_path, "databento", text)
    assert ["ESH4"] == column(read_as(tmp_path, "databento", text, symbol="ESH4"), "symbol")


# --- massive


def test_trades_of_massive(tmp_path):
    """Conditions are a list in quotes; the venue's id is no exchange of K2's; fractions of a share are exact."""
    text = MASSIVE_TRADES + (
        f'A,"12,37",0,11,52983,{NS},142.99,3807,{NS + 5},0.5,1,0,0\nBRK.A,,1,4,x,{NS + 211},7,3809,9,187,1,,\n'
    )
    first, second = rows(read_as(tmp_path, "massive", text))
    names = ("symbol", "exchange", "price", "quantity", "sequence", "trade_id", "conditions", "side")
    expected = ["A", "us-stocks", Decimal("142.99"), Decimal("0.5"), 3807, "52983", ["12", "37"], "UNKNOWN"]
    assert expected == [first[n] for n in names]
    assert datetime(2014, 3, 10, 5, 0, 0, 123_456, UTC) == first["timestamp"]
    attributes = {
        "exchange_id": "11",
        "correction": "0",
        "sip_timestamp": str(NS + 5),
        "tape": "1",
        "trf_id": "0",
        "trf_timestamp": "0",
        "timestamp_ns": str(NS),
    }
    assert attributes == dict(first["attributes"])
    # A whole microsecond has nothing to add.
    assert ([], False) == (second["conditions"], "timestamp_ns" in dict(second["attributes"]))


def test_quotes_of_massive(tmp_path):
    """A price or a size of 0 is no quote on that side."""
    text = MASSIVE_QUOTES + (
        f'A,8,0.0,0,11,10.5,3,"1,81",,{NS},5,7,1,0\nA,8,11,0,11,0,3,,604,{NS},6,8,1,0\nA,8,11,2,11,10,3,1,,{NS},9,9,1,0\n'
    )
    blocks = read_as(tmp_path, "massive", text, DataType.QUOTES)
    assert [None, None, Decimal(11)] == column(blocks, "ask_price")
    assert [None, None, Decimal(2)] == column(blocks, "ask_quantity")
    assert [Decimal("10.5"), None, Decimal(10)] == column(blocks, "bid_price")
    assert [Decimal(3), None, Decimal(3)] == column(blocks, "bid_quantity")
    assert [["1", "81"], [], ["1"]] == column(blocks, "conditions")
    assert [None, "604", None] == [dict(one).get("indicators") for one in column(blocks, "attributes")]


@pytest.mark.parametrize(
    ("time", "reason"), [("0", "missing"), ("", "missing"), ("9e18", "'9e18' is not an integer time in ns")]
)
def test_a_row_of_massive_without_a_time(tmp_path, time, reason):
    """It is rejected, not put into 1970."""
    good = f"A,1,0,11,5,{NS},1,1,1,1,1,0,0\n"
    blocks = read_as(tmp_path, "massive", f"{MASSIVE_TRADES}{good}A,1,0,11,5,{time},1,2,1,1,1,0,0\n")
    assert [("timestamp", reason)] == reasons(blocks)


# --- all


@pytest.mark.parametrize(
    ("name", "kind", "scope"),
    [
        ("binance", "contiguous", "continuous"),
        ("binance-agg", "contiguous", "continuous"),
        ("databento", "increasing", "continuous"),
        ("massive", "increasing", "trading_date"),
    ],
)
def test_the_numbers_of_a_profile_are_what_its_exchange_expects(name, kind, scope):
    """They are the source's, and the rule of the exchange that the profile names fits them."""
    profile = profiles.load(name)
    rules = configured()[profile.exchange].sequences
    assert (kind, scope) == (rules.trades.kind, rules.trades.scope)
    assert {"source"} == {profile.shape(one).sequence for one in profile.data_types}
    if DataType.QUOTES in profile.data_types:
        assert kind == rules.quotes.kind
