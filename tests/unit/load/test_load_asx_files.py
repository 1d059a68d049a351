from __future__ import annotations

import hashlib
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from load_files import DATA, column, context, read_asx, rejects, rows

from k2app.errors import OperatorError
from k2app.load import profiles, symbols
from k2app.load.reader import read
from k2app.load.sources import digest
from k2app.market.topics import DataType


def test_every_column_of_a_trade_is_kept():
    """A price in the buyer's id stays text; qualifiers are conditions; the venue is an attribute."""
    found = rows(read_asx(DATA / "9001.csv"))[6]
    assert found == {
        "symbol": "KTO",
        "exchange": "asx",
        "asset_class": "equities",
        "timestamp": datetime(2014, 3, 10, 0, 29, 15, 863_000, UTC),
        "price": Decimal("0.67500000"),
        "quantity": Decimal("120.00000000"),
        "currency": "AUD",
        "side": "UNKNOWN",
        "trade_id": None,
        "conditions": ["0"],
        "sequence": None,
        "ingested_at": datetime(2014, 5, 13, 16, 53, 20, 123_456, UTC),
        "load_id": "0f" * 16,
        "source_line": 7,
        "attributes": [("venue", "X"), ("buyer_id", "0.675")],
    }


def test_off_market_qualifiers_and_venues_are_kept_as_written():
    """Qualifiers 1, 3, 9 and venue X reach the lake, where bars leave them out; several are a list."""
    blocks = read_asx(DATA / "9001.csv")
    assert column(blocks, "conditions") == [
        ["1"],
        ["0"],
        ["2"],
        ["2"],
        ["3"],
        ["9"],
        ["0"],
        ["8", "26"],
        ["0"],
    ]
    assert column(blocks, "attributes")[:6] == [None] * 5 + [[("venue", "X")]]


def test_byte_identical_rows_are_separate_trades():
    """Nothing is folded together: both rows are there, each with its line."""
    third, fourth = rows(read_asx(DATA / "9001.csv"))[2:4]
    assert (third.pop("source_line"), fourth.pop("source_line")) == (3, 4)
    assert third == fourth


def test_four_decimals_are_exact():
    """0.6725 and 0.6649 stay what they are."""
    prices = column(read_asx(DATA / "9001.csv"), "price")
    assert [Decimal("0.6725"), Decimal("0.6649")] == [prices[4], prices[7]]


def test_sides_of_zero_are_absent():
    """An ask or bid of 0.0 is null with its quantity, and a crossed book is kept."""
    found = rows(read_asx(DATA / "asx-quotes-KTO.csv", DataType.QUOTES))
    sides = [[row[n] for n in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")] for row in found]
    expected = [
        ["0.66", "24999", None, None],
        ["0.66", "24999", "0.67", "13469"],
        ["0.68", "15000", "0.67", "13469"],
        [None, None, "0.6725", "300"],
        [None, None, None, None],
    ]
    assert [[None if v is None else Decimal(v) for v in row] for row in expected] == sides


def test_the_day_daylight_saving_ends():
    """02:30 came twice: the first one is taken (still UTC+11), and counted."""
    blocks = read_asx(DATA / "daylight-saving-ends.csv")
    assert [
        datetime(2014, 4, 5, 14, 59, 59, 999_000, UTC),
        datetime(2014, 4, 5, 15, 30, tzinfo=UTC),
        datetime(2014, 4, 5, 17, 0, tzinfo=UTC),
    ] == column(blocks, "timestamp")
    assert sum(block.ambiguous for block in blocks) == 1


def test_the_day_daylight_saving_starts():
    """02:30 never was: that row is rejected with its bytes, its neighbours are a millisecond apart."""
    blocks = read_asx(DATA / "daylight-saving-starts.csv")
    before = datetime(2014, 10, 4, 15, 59, 59, 999_000, UTC)
    assert [before, datetime(2014, 10, 4, 16, 0, tzinfo=UTC)] == column(blocks, "timestamp")
    [reject] = rejects(blocks)
    assert (reject.line, reject.field, reject.raw) == (2, "timestamp", b"10/05/2014,02:30:00.000,0.67,2,0,,")
    assert "'10/05/2014 02:30:00.000' never was in Australia/Sydney" in reject.reason


def test_malformed_rows_cost_only_themselves():
    """Each is rejected with line, field and reason; the others are read."""
    blocks = read_asx(DATA / "malformed.csv")
    assert column(blocks, "source_line") == [1, 7]
    assert [(one.line, one.field, one.reason) for one in rejects(blocks)] == [
        (2, None, "has 6 cells instead of 7"),
        (3, "price", "'1e3' is not a decimal number"),
        (4, "quantity", "missing"),
        (5, "timestamp", "'31/10/2014 10:00:04.000' is not a time of the form MM/DD/YYYY hh:mm:ss.ffffff"),
        (6, "quantity", "'-6' is below zero"),
    ]


def test_reference_data_with_dates():
    """Dates are MM/DD/YYYY; an empty end date is an open listing; a comma stands in a quoted name."""
    first, second = rows(read_asx(DATA / "company-info.csv", DataType.REFERENCE_DATA))
    assert (first["company_id"], first["symbol"], first["isin"]) == ("9001", "KTO", "AU000000KTO1")
    assert (date(2008, 5, 7), date(2014, 3, 31)) == (first["listed_from"], first["listed_to"])
    assert (second["name"], second["listed_to"], second["source_line"]) == ("LAKE HOUSE, GROUP LTD", None, 3)


@pytest.fixture
def reference():
    path = DATA / "company-info.csv"
    return symbols.reference(path, read_asx(path, DataType.REFERENCE_DATA))


@pytest.mark.parametrize("name", ["9001.csv", "KTO.csv", "asx-trades-KTO.csv", "2014-9001.csv.gz", "9001"])
def test_a_file_called_after_its_company_or_symbol(reference, name):
    """The stem, or its last part after a dash, is looked up among company ids and symbols."""
    shape = profiles.load("asx").shape(DataType.TRADES)
    assert symbols.resolve(Path(name), shape, None, reference) == "KTO"


def test_a_file_that_is_not_in_the_reference(reference):
    """The error names what was looked for, where, the nearest name and the way out."""
    shape = profiles.load("asx").shape(DataType.TRADES)
    with pytest.raises(OperatorError, match=r"no company id or symbol '9003' in .*nearest: 900\d.*--symbol"):
        symbols.resolve(Path("9003.csv"), shape, None, reference)


def test_a_file_of_one_symbol_without_any_word_of_which():
    """Without --symbol and --reference the asx profile cannot know."""
    shape = profiles.load("asx").shape(DataType.TRADES)
    with pytest.raises(OperatorError, match=r"9001\.csv: its rows do not name a symbol; give --symbol"):
        symbols.resolve(Path("9001.csv"), shape, None, None)


def test_the_symbol_given_wins(reference):
    """--symbol is the operator's word, whatever the file is called."""
    shape = profiles.load("asx").shape(DataType.TRADES)
    assert symbols.resolve(Path("9001.csv"), shape, " LKH ", reference) == "LKH"


def test_a_company_id_of_several_symbols(tmp_path):
    """An id that was given to two symbols is not guessed at."""
    path = tmp_path / "info.csv"
    text = (DATA / "company-info.csv").read_text().replace("9002", "9001")
    path.write_text(text)
    known = symbols.reference(path, read_asx(path, DataType.REFERENCE_DATA))
    with pytest.raises(OperatorError, match="several symbols for '9001': KTO, LKH"):
        symbols.resolve(Path("9001.csv"), profiles.load("asx").shape(DataType.TRADES), None, known)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\r\n", "the file is empty"),
        (b"\xff\xfe0\x003\x00", "UTF-16"),
        (
            b"a;b\nc;d\n",
            "no row of the first 2 could be read as trades with profile asx.*line 1: has 1 cells",
        ),
        (b"03/10/2014,10:00:00.000,x,1,0,,\n" * 1001, "no row of the first 1000 .*line 1: price 'x' is not"),
    ],
)
def test_files_that_are_not_what_they_are_taken_for(tmp_path, text, says):
    """One clear sentence, with the file's name."""
    path = tmp_path / "9001.csv"
    path.write_bytes(text)
    with pytest.raises(OperatorError, match=f"9001.csv: .*{says}"):
        read_asx(path)


def test_a_good_row_after_a_thousand_bad_ones_comes_too_late(tmp_path):
    """The profile is judged by the first thousand rows, however large the blocks are."""
    path = tmp_path / "9001.csv"
    path.write_bytes(b"x\n" * 1000 + b"03/10/2014,10:00:00.000,1,1,0,,\n")
    for block_bytes in (64, 1 << 20):
        with pytest.raises(OperatorError, match="is the profile right"):
            read_asx(path, block_bytes=block_bytes)
    path.write_bytes(b"x\n" * 999 + b"03/10/2014,10:00:00.000,1,1,0,,\n")
    for block_bytes in (64, 1 << 20):
        assert column(read_asx(path, block_bytes=block_bytes), "source_line") == [1000]


def test_a_file_that_is_not_there(tmp_path):
    """Vanished, or never there: said with its name, by the reader and by the digest."""
    path = tmp_path / "gone.csv"
    with pytest.raises(OperatorError, match=r"gone\.csv cannot be read: No such file"):
        read_asx(path)
    with pytest.raises(OperatorError, match=r"gone\.csv cannot be read: No such file"):
        digest(path)


def test_a_folder_in_place_of_a_file(tmp_path):
    """Said at once."""
    with pytest.raises(OperatorError, match="cannot be read: Is a directory"):
        read_asx(tmp_path)


def test_a_digest_is_that_of_the_bytes():
    """SHA-256 and size of the file on disk."""
    path = DATA / "9001.csv"
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size) == digest(path)


def test_a_profile_that_does_not_read_a_data_type(tmp_path):
    """The error lists what it does read."""
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[quotes]\nheader = "yes"\n[quotes.fields]\ntimestamp = "t"\nbid_price = "b"\nask_price = "a"\n'
    )
    with pytest.raises(OperatorError, match="does not read trades; it reads quotes"):
        list(read(DATA / "9001.csv", profiles.load(str(mine)), DataType.TRADES, context()))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "symbol", "data_type"),
    [
        ("asx-trades-DVN.csv", "DVN", DataType.TRADES),
        ("asx-trades-MWR.csv", "MWR", DataType.TRADES),
        ("asx-quotes-DVN.csv", "DVN", DataType.QUOTES),
        ("asx-quotes-MWR.csv", "MWR", DataType.QUOTES),
        ("asx-company-info.csv", None, DataType.REFERENCE_DATA),
    ],
)
def test_files_of_the_exchange_read_without_a_reject(name, symbol, data_type):
    """Every line of the files named by K2_TEST_DATA becomes a row."""
    path = Path(os.environ["K2_TEST_DATA"]) / name
    blocks = read_asx(path, data_type, symbol)
    header = int(data_type is DataType.REFERENCE_DATA)
    lines = np.arange(1 + header, 1 + len(path.read_bytes().splitlines())).tolist()
    assert (lines, []) == (column(blocks, "source_line"), rejects(blocks))
