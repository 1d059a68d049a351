from __future__ import annotations

import json
from pathlib import Path

import pytest

from k2app.avro import schema as avro
from k2app.errors import OperatorError
from k2app.load import profiles
from k2app.load.records import ASSET_CLASSES, SIDES, record_schema
from k2app.market.topics import DataType

SCHEMAS = Path(__file__).parents[3] / "schemas"

TRADES = """
[trades]
header = "yes"
[trades.fields]
timestamp = { column = "t", format = "iso" }
price = "p"
quantity = "q"
"""


@pytest.mark.parametrize("data_type", list(DataType))
def test_rows_are_those_of_the_avro_schema(data_type):
    """Names, types, order and nullability are those that the newest schema decodes to."""
    newest = (SCHEMAS / f"{data_type.record}.v1.avsc").read_text()
    assert avro.arrow_schema(avro.parse(newest)) == record_schema(data_type)


def test_enums_are_those_of_the_avro_schema():
    """Their symbols too, in the same order."""
    fields = {
        one["name"]: one["type"] for one in json.loads((SCHEMAS / "trade.v1.avsc").read_text())["fields"]
    }
    assert (fields["side"]["symbols"], fields["asset_class"]["symbols"]) == (list(SIDES), list(ASSET_CLASSES))


@pytest.mark.parametrize("name", profiles.names())
def test_what_ships_is_valid(name):
    """And is called after its file."""
    assert profiles.load(name).name == name


def test_the_names_that_ship():
    """Each with a line that says what it is for."""
    assert ["asx", "binance", "binance-agg", "databento", "k2", "massive"] == profiles.names()
    assert all(20 < len(profiles.load(name).about) < 110 for name in profiles.names())


def test_an_unknown_name():
    """The error lists those there are, and the nearest."""
    with pytest.raises(
        OperatorError, match=r"profile 'asxx' is not known; did you mean asx\? known are asx,.* k2"
    ):
        profiles.load("asxx")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = ", "is not TOML"),
        ('name = "x"', "name = 'x': unknown key"),
        ('exchange = "A B"', r"exchange = 'A B': String should match"),
        (TRADES + 'side = { colum = "s" }', "trades.fields.side.column: missing"),
        (
            TRADES + 'side = { column = "s", separator = "," }',
            "trades.fields.side.separator = ',': unknown key",
        ),
        (TRADES.replace('price = "p"', ""), "trades.fields.price: missing"),
        (
            TRADES.replace('"yes"', '"maybe"'),
            "trades.header = 'maybe': Input should be 'yes', 'no' or 'optional'",
        ),
        (TRADES.replace('"yes"', '"no"'), r"trades: header = 'no' needs columns = \[...\]"),
        (
            TRADES.replace('"yes"', '"no"\ncolumns = ["t", "p"]'),
            "trades: columns lacks q, which a field is read from",
        ),
        (
            TRADES.replace('"yes"', '"yes"\ndelimiter = "::"'),
            "trades.delimiter = '::': takes one ASCII character",
        ),
        (
            TRADES.replace('"yes"', '"yes"\nsequence = "source"'),
            "trades: sequence = 'source' needs a field `sequence`",
        ),
        (
            TRADES.replace('"yes"', '"yes"\nsymbol_in_file_name = "x"'),
            r"takes a regular expression with a group \(\?P<symbol>...\)",
        ),
        (
            TRADES.replace('"yes"', '"yes"\ncurrency_in_symbol = "x"'),
            r"takes a regular expression with a group \(\?P<currency>...\)",
        ),
        (
            TRADES.replace('"yes"', '"yes"\ncurrency_in_symbol = "(?P<currency>x)"') + 'symbol = "s"',
            "trades: currency_in_symbol is for files of one symbol, without columns for either",
        ),
        (
            TRADES.replace('"yes"', '"no"\ncolumns = ["t", "p", "q"]\noptional_columns = 1'),
            "trades: optional_columns = 1: a field needs q",
        ),
        (
            TRADES.replace('"yes"', '"no"\ncolumns = ["t", "p", "q"]\nonly = { kind = ["T"] }'),
            "trades: columns lacks kind, which a field is read from",
        ),
        (
            TRADES.replace('"iso"', '"epoch", unit = ["ms", "ps"]'),
            "trades.fields.timestamp.unit.1 = 'ps': Input should be 's', 'ms', 'us' or 'ns'",
        ),
        (TRADES.replace('"yes"', '"yes"\nsymbol_in_file_name = "("'), "is not a regular expression"),
        (
            TRADES.replace('"iso"', '"%x"'),
            "trades.fields.timestamp.format = '%x': takes 'iso', 'epoch' or a pattern of %Y",
        ),
        (TRADES.replace('"iso"', '"%Y-%m"'), "format = '%Y-%m': needs each of %Y %m %d once"),
        (TRADES.replace('"iso"', '"%f %Y%m%d"'), "format = '%f %Y%m%d': %f must stand at the end"),
        (TRADES.replace('"iso"', '"%Y%m%d"'), "trades.fields.timestamp: a pattern needs zone"),
        (TRADES.replace('"iso"', '"epoch"'), "trades.fields.timestamp: format = 'epoch' needs unit"),
        (
            TRADES.replace('"iso"', '"iso", zone = "UTC"'),
            "trades.fields.timestamp: zone has no use with format = 'iso'",
        ),
        (
            TRADES.replace('"iso"', '"%Y%m%d", zone = "Sydney"'),
            "zone = 'Sydney': takes 'exchange' or an IANA time zone",
        ),
    ],
)
def test_a_mistake_in_a_profile(tmp_path, text, says):
    """The error names file, key, value and what it takes."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(OperatorError, match=rf"mine\.toml.*{says}"):
        profiles.load(str(path))


def test_a_profile_that_is_not_there(tmp_path):
    """Said with its path."""
    with pytest.raises(OperatorError, match=r"gone\.toml cannot be read"):
        profiles.load(str(tmp_path / "gone.toml"))


def test_where_sequence_numbers_come_from():
    """The operator's word, else the profile's; what the file cannot give is refused."""
    asx, k2 = profiles.load("asx"), profiles.load("k2")
    trades = asx.shape(DataType.TRADES)
    assert (trades.sequence_mode(None), trades.sequence_mode("none")) == ("assign", "none")
    assert k2.shape(DataType.TRADES).sequence_mode(None) == "source"
    with pytest.raises(OperatorError, match="the profile names no column of sequence numbers"):
        trades.sequence_mode("source")
    with pytest.raises(OperatorError, match="reference data has no sequence numbers"):
        asx.shape(DataType.REFERENCE_DATA).sequence_mode("assign")


def own(folder, name="mine.toml", text=TRADES):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return profiles.load(str(path)).identity(DataType.TRADES)


def test_a_profile_that_ships_is_known_by_its_name():
    """An update of K2 does not make a file that was loaded another one."""
    assert "asx" == profiles.load("asx").identity(DataType.TRADES)


def test_a_profile_of_ones_own_is_known_by_what_it_says_of_the_data_type(tmp_path):
    """Not by its comments, its folder, the order of its keys, or what it says of quotes."""
    first = own(tmp_path)
    assert first.startswith("mine@")
    same = (
        "# a comment\n" + TRADES,
        TRADES.replace('price = "p"\nquantity = "q"', 'quantity = { column = "q" }\nprice = "p"'),
        TRADES
        + TRADES.replace("trades", "quotes").replace("price", "bid_price").replace("quantity", "ask_price"),
        TRADES.replace('header = "yes"', 'header = "yes"\ndelimiter = ","'),
    )
    assert {first} == {own(tmp_path / "other", text=text) for text in same}
    other = (TRADES.replace('"p"', '"P"'), TRADES.replace('"yes"', '"yes"\ndelimiter = ";"'))
    assert 3 == len({first, *(own(tmp_path, text=text) for text in other)})
