"""Formats of vendors are TOML only: these profiles stand in for those that ship later."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from load_files import column, read_with, rejects, rows

from k2app.errors import OperatorError
from k2app.load import profiles, symbols
from k2app.market.topics import DataType

BINANCE = r"""
exchange = "binance"
[trades]
header = "optional"
columns = ["agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id",
    "transact_time", "is_buyer_maker", "best"]
sequence = "source"
symbol_in_file_name = "^(?P<symbol>[A-Z0-9]+)-aggTrades-"
[trades.fields]
timestamp = { column = "transact_time", format = "epoch", unit = "auto" }
price = "price"
quantity = "quantity"
trade_id = "agg_trade_id"
sequence = "agg_trade_id"
side = { column = "is_buyer_maker", values = { True = "SELL", False = "BUY", true = "SELL", false = "BUY" } }
"""

DATABENTO = """
[trades]
header = "yes"
sequence = "source"
[trades.fields]
symbol = "symbol"
timestamp = { column = "ts_event", format = "iso", unit = "ns" }
price = { column = "price", scale = 9 }
quantity = "size"
sequence = "sequence"
side = { column = "side", values = { A = "SELL", B = "BUY", N = "UNKNOWN" } }
[quotes]
header = "yes"
sequence = "source"
extra = "ignore"
[quotes.fields]
symbol = "symbol"
timestamp = { column = "ts_event", format = "iso", unit = "ns" }
bid_price = { column = "bid_px_00", scale = 9, nulls = ["9223372036854775807"] }
bid_quantity = "bid_sz_00"
ask_price = { column = "ask_px_00", scale = 9, nulls = ["9223372036854775807"] }
ask_quantity = "ask_sz_00"
sequence = "sequence"
"""

MASSIVE = """
[quotes]
header = "yes"
sequence = "source"
absent_when_zero = ["price", "quantity"]
attributes = { sip = "sip_timestamp" }
[quotes.fields]
symbol = "ticker"
timestamp = { column = "participant_timestamp", format = "epoch", unit = "ns" }
bid_price = "bid_price"
bid_quantity = "bid_size"
ask_price = "ask_price"
ask_quantity = "ask_size"
conditions = { column = "conditions", separator = "," }
sequence = "sequence_number"
"""


@pytest.mark.parametrize(
    "header",
    ["", "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,best\n"],
)
def test_a_file_with_or_without_header(tmp_path, header):
    """Binance: milliseconds and microseconds, a side that is said the other way round, a symbol in the name."""
    text = header + "26129,0.01633102,4.70443515,27781,27782,1498793709153,True,True\n"
    text += "26130,0.01633103,4,27783,27783,1735689600000123,False,True\n"
    blocks = read_with(tmp_path, BINANCE, text, symbol="BTCUSDT", exchange="binance")
    first, second = rows(blocks)
    assert first["timestamp"] == datetime(2017, 6, 30, 3, 35, 9, 153_000, UTC)
    assert second["timestamp"] == datetime(2025, 1, 1, 0, 0, 0, 123, UTC)
    assert (first["side"], first["sequence"], first["trade_id"], first["price"]) == (
        "SELL",
        26129,
        "26129",
        Decimal("0.01633102"),
    )
    assert (second["side"], second["source_line"]) == ("BUY", 2 + bool(header))
    assert second["attributes"] == [("first_trade_id", "27783"), ("last_trade_id", "27783"), ("best", "True")]


def test_a_symbol_in_the_name_of_the_file(tmp_path):
    """By the profile's rule; a name that does not follow it is refused."""
    path = tmp_path / "mine.toml"
    path.write_text(BINANCE)
    shape = profiles.load(str(path)).shape(DataType.TRADES)
    assert symbols.resolve(Path("x/BTCUSDT-aggTrades-2025-01-01.zip"), shape, None, None) == "BTCUSDT"
    with pytest.raises(OperatorError, match="the name does not say the symbol"):
        symbols.resolve(Path("trades.csv"), shape, None, None)


@pytest.mark.parametrize(
    ("time", "price"),
    [("1394427600123456789", "3720250000000"), ("2014-03-10T05:00:00.123456789Z", "3720.250000000")],
)
def test_prices_in_billionths_and_times_in_nanoseconds(tmp_path, time, price):
    """Databento, plain and pretty: the same rows; what a microsecond cannot hold is kept beside it."""
    text = f"ts_recv,ts_event,side,price,size,sequence,symbol\n1,{time},A,{price},3,1170352,ESH4\n"
    [found] = rows(read_with(tmp_path, DATABENTO, text))
    assert (found["price"], found["side"], found["sequence"]) == (Decimal("3720.25"), "SELL", 1170352)
    assert found["timestamp"] == datetime(2014, 3, 10, 5, 0, 0, 123_456, UTC)
    assert found["attributes"] == [("ts_recv", "1"), ("timestamp_ns", "1394427600123456789")]


def test_a_side_that_is_not_in_the_map(tmp_path):
    """It is rejected, not passed through."""
    text = "ts_event,side,price,size,sequence,symbol\n1,A,1.0,3,1,E\n2,SELL,1.0,3,2,E\n"
    assert [(one.field, one.reason) for one in rejects(read_with(tmp_path, DATABENTO, text))] == [
        ("side", "'SELL' is not one of A, B, N")
    ]


def test_a_price_that_is_the_largest_integer(tmp_path):
    """Databento's undefined price: that side of the book is null."""
    text = (
        "ts_event,bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,sequence,symbol\n"
        "1000,9223372036854775807,100000000000,0,5,1,E\n"
    )
    [found] = rows(read_with(tmp_path, DATABENTO, text, DataType.QUOTES))
    names = ("bid_price", "bid_quantity", "ask_price", "ask_quantity", "attributes")
    assert [found[n] for n in names] == [None, None, Decimal(100), Decimal(5), None]


def test_a_side_that_is_absent_by_size_or_price(tmp_path):
    """Massive: a zero of either is no quote; conditions are a quoted list; an attribute has its own name."""
    text = (
        "ticker,ask_price,ask_size,bid_price,bid_size,conditions,participant_timestamp,sequence_number,sip_timestamp\n"
        'A,0,0,10.5,3,"1,81",1000,5,7\nA,11,0,0,3,,2000,6,8\n'
    )
    blocks = read_with(tmp_path, MASSIVE, text, DataType.QUOTES)
    assert column(blocks, "ask_price") == [None, None]
    assert column(blocks, "bid_quantity") == [Decimal(3), None]
    assert column(blocks, "conditions") == [["1", "81"], []]
    assert column(blocks, "attributes") == [[("sip", "7")], [("sip", "8")]]
