from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_files import HEADER, column, context, read_k2, read_with, rejects, rows, trade, write

from k2app.errors import OperatorError
from k2app.load import profiles
from k2app.load.reader import read
from k2app.load.records import record_schema
from k2app.market.topics import DataType
from k2app.query.answers.result import Result
from k2app.query.answers.result_text import to_csv

QUOTES = "symbol,timestamp,bid_price,bid_quantity,ask_price,ask_quantity"
AT = "2014-03-10T00:00:00Z"


def test_columns_in_any_order_with_every_field(tmp_path):
    """Matched by name; K2's own columns are this load's; what has no field becomes an attribute."""
    text = (
        "sequence,price,symbol,note,quantity,load_id,conditions,timestamp,side,trade_id,currency,exchange,asset_class\n"
        "7,-37.63,CLK0,roll,2,old, 1; XT ;;,2020-04-20T14:30:00-04:00,sell_short,T1,CAD,generic,equities\n"
    )
    [found] = rows(read_k2(tmp_path, text))
    assert found == {
        "symbol": "CLK0",
        "exchange": "generic",
        "asset_class": "equities",
        "timestamp": datetime(2020, 4, 20, 18, 30, tzinfo=UTC),
        "price": Decimal("-37.63"),
        "quantity": Decimal(2),
        "currency": "CAD",
        "side": "SELL_SHORT",
        "trade_id": "T1",
        "conditions": ["1", "XT"],
        "sequence": 7,
        "ingested_at": datetime(2014, 5, 13, 16, 53, 20, 123_456, UTC),
        "load_id": "0f" * 16,
        "source_line": 2,
        "attributes": [("note", "roll")],
    }


def test_what_a_file_leaves_out_comes_from_the_exchange(tmp_path):
    """Currency, asset class and exchange are the exchange's; the side is unknown; the rest is null."""
    [found] = rows(read_k2(tmp_path, f"{HEADER}\n{trade()}\n"))
    assert [found[n] for n in ("exchange", "asset_class", "currency", "side")] == [
        "generic",
        "equities",
        "USD",
        "UNKNOWN",
    ]
    assert [found[n] for n in ("trade_id", "conditions", "sequence", "attributes")] == [None, [], None, None]


def test_empty_cells_are_null(tmp_path):
    """An empty side is unknown, an empty currency the exchange's, an empty sequence none."""
    text = f"{HEADER},side,currency,sequence,trade_id,note\n{trade()},,,,,\n{trade()},BUY,AUD,1,x,y\n"
    first, second = rows(read_k2(tmp_path, text))
    names = ("side", "currency", "sequence", "trade_id", "attributes")
    assert [first[n] for n in names] == ["UNKNOWN", "USD", None, None, None]
    assert [second[n] for n in names] == ["BUY", "AUD", 1, "x", [("note", "y")]]


def test_rows_have_the_schema_of_the_record(tmp_path):
    """In one chunk, and valid, with rejects too."""
    [block] = read_k2(tmp_path, f"{HEADER}\n{trade()}\n{trade(price='x')}\n{trade()}\n")
    assert block.rows.schema == record_schema(DataType.TRADES)
    assert {one.num_chunks for one in block.rows.columns} == {1}
    block.rows.validate(full=True)
    assert block.bytes_read == (tmp_path / "file.csv").stat().st_size


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        ({"symbol": ""}, "symbol", "missing"),
        ({"symbol": "  "}, "symbol", "missing"),
        ({"timestamp": ""}, "timestamp", "missing"),
        (
            {"timestamp": "2014-03-10T00:00:00"},
            "timestamp",
            "'2014-03-10T00:00:00' has no zone; it takes Z or an offset such as +10:00",
        ),
        ({"price": ""}, "price", "missing"),
        ({"price": "1e3"}, "price", "'1e3' is not a decimal number"),
        ({"price": "nan"}, "price", "'nan' is not a decimal number"),
        ({"price": "0.000000001"}, "price", "'0.000000001' has more than 8 decimal places"),
        ({"quantity": "-1"}, "quantity", "'-1' is below zero"),
        ({"quantity": "10000000000"}, "quantity", "'10000000000' has more than 10 digits before the point"),
    ],
)
def test_a_bad_cell_rejects_its_row(tmp_path, cells, field, reason):
    """With line, field, reason and the bytes; the rows around it are read."""
    bad = trade(**cells)
    blocks = read_k2(tmp_path, f"{HEADER}\r\n{trade()}\r\n{bad}\r\n{trade()}")
    [reject] = rejects(blocks)
    assert (reject.file, reject.line, reject.raw) == (str(tmp_path / "file.csv"), 3, bad.encode())
    assert (reject.field, reject.reason) == (field, reason)
    assert column(blocks, "source_line") == [2, 4]


@pytest.mark.parametrize(
    ("name", "cell", "reason"),
    [
        ("side", "HOLD", "'HOLD' is not one of BUY, SELL, SELL_SHORT, UNKNOWN"),
        ("exchange", "asx", "'asx' is not the exchange of this load, 'generic'"),
        ("asset_class", "crypto", "'crypto' is not the asset class of this load, 'equities'"),
        ("sequence", "-1", "'-1' is not a whole number of up to 19 digits"),
    ],
)
def test_a_bad_optional_cell_rejects_its_row(tmp_path, name, cell, reason):
    """A row of another exchange would go to another topic: it is not taken."""
    good = {"side": "SELL", "exchange": "generic", "asset_class": "equities", "sequence": "3"}[name]
    blocks = read_k2(tmp_path, f"{HEADER},{name}\n{trade()},{cell}\n{trade()},{good}\n{trade()},\n")
    assert [(one.line, one.field, one.reason) for one in rejects(blocks)] == [(2, name, reason)]


def test_the_first_of_several_problems_is_told(tmp_path):
    """A row has one reject, whatever is wrong with it."""
    blocks = read_k2(tmp_path, f"{HEADER}\n{trade()}\n,,x,-1\n")
    assert [(one.field, one.reason) for one in rejects(blocks)] == [("price", "'x' is not a decimal number")]


def test_spaces_around_cells_do_not_count(tmp_path):
    """In fields; in attributes they stay."""
    blocks = read_k2(tmp_path, f"symbol , timestamp,price,quantity,note\n KTO , {AT} , 1.5,10 , as is \n")
    [found] = rows(blocks)
    assert (found["symbol"], found["price"], found["attributes"]) == (
        "KTO",
        Decimal("1.5"),
        [("note", " as is ")],
    )


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    """Spreadsheets write one."""
    assert column(read_k2(tmp_path, b"\xef\xbb\xbf" + f"{HEADER}\n{trade()}\n".encode()), "symbol") == ["KTO"]


def test_a_header_without_rows(tmp_path):
    """A day without trades: no rows, no error."""
    assert rows(read_k2(tmp_path, f"{HEADER}\n")) == []


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (
            "symbol,timestmp,Price,quantity",
            r"the header lacks price \(column 'Price': did you mean 'price'\?\), timestamp \(column 'timestmp': did",
        ),
        ("symbol,timestamp,price,quantity,note,note", "the header names 'note' more than once"),
        ('"symbol,timestamp', "the header, line 1, cannot be read: a quote is not closed"),
        ("symbol;timestamp;price;quantity", "the header lacks price, quantity"),
    ],
)
def test_a_header_that_does_not_fit(tmp_path, header, says):
    """Every missing column is named, with its nearest match."""
    with pytest.raises(OperatorError, match=f"file.csv: {says}"):
        read_k2(tmp_path, f"{header}\n{trade()}\n")


def test_a_symbol_given_for_a_file_that_says_it(tmp_path):
    """Two answers to one question: refused. Without the column, the one given is taken."""
    with pytest.raises(OperatorError, match="the file says the symbol itself, in column 'symbol'"):
        read_k2(tmp_path, f"{HEADER}\n{trade()}\n", symbol="X")
    text = f"timestamp,price,quantity\n{AT},1,1\n"
    assert column(read_k2(tmp_path, text, symbol="X"), "symbol") == ["X"]


@pytest.mark.parametrize("mode", ["assign", "none"])
def test_sequence_numbers_that_are_not_used_stay_as_attributes(tmp_path, mode):
    """Nothing of the source is dropped."""
    [found] = rows(read_k2(tmp_path, f"{HEADER},sequence\n{trade()},x12\n", sequence=mode))
    assert (found["sequence"], found["attributes"]) == (None, [("sequence", "x12")])


def test_sides_of_a_quote(tmp_path):
    """Empty is null; a quantity without its price is no quote, but 0 is nothing; a price may stand alone."""
    text = f"{QUOTES}\nA,{AT},,,1.5,2\nA,{AT},0,5,1,1\nA,{AT},,7,1,1\nA,{AT},1,,,0\nA,{AT},x,7,1,1\nA,{AT},1,-1,1,1\n"
    blocks = read_k2(tmp_path, text, DataType.QUOTES)
    names = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
    assert [[row[n] for n in names] for row in rows(blocks)] == [
        [None, None, Decimal("1.5"), Decimal(2)],
        [Decimal(0), Decimal(5), Decimal(1), Decimal(1)],
        [Decimal(1), None, None, None],
    ]
    assert [(one.line, one.field, one.reason) for one in rejects(blocks)] == [
        (4, "bid_quantity", "'7' without bid_price"),
        (6, "bid_price", "'x' is not a decimal number"),
        (7, "bid_quantity", "'-1' is below zero"),
    ]


def test_reference_data(tmp_path):
    """Dates are ISO; what is unknown is null."""
    text = "company_id,symbol,listed_from,listed_to,name\n9001,KTO,2008-05-07,,K TWO\n9002,LKH,2008-5-7,,\n"
    blocks = read_k2(tmp_path, text, DataType.REFERENCE_DATA)
    [found] = rows(blocks)
    assert [found[n] for n in ("company_id", "listed_from", "listed_to", "isin", "currency")] == [
        "9001",
        date(2008, 5, 7),
        None,
        None,
        "USD",
    ]
    assert [one.reason for one in rejects(blocks)] == ["'2008-5-7' is not a date of the form YYYY-MM-DD"]


def test_a_stated_unit_for_integer_times(tmp_path):
    """The profile's optional key lets the k2 form have integers since 1970."""
    shipped = (profiles.__file__).replace("profiles.py", "profiles/k2.toml")
    with open(shipped) as file:  # noqa: PTH123 - a name, not a path
        mine = file.read().replace('format = "iso"', 'format = "iso", unit = "ms"')
    blocks = read_with(tmp_path, mine, f"{HEADER}\n{trade(timestamp='1394409600001')}\n{trade()}\n")
    assert column(blocks, "timestamp") == [
        datetime(2014, 3, 10, 0, 0, 0, 1000, UTC),
        datetime(2014, 3, 10, tzinfo=UTC),
    ]


def test_memory_is_bounded_by_the_block(tmp_path):
    """A file of many blocks is never in memory at once."""
    line = trade() + "\n"
    path = write(tmp_path, f"{HEADER}\n" + line * 400_000)
    highest = 0
    for block in read(path, profiles.load("k2"), DataType.TRADES, context(block_bytes=1 << 18)):
        del block
        highest = max(highest, pa.total_allocated_bytes())
    assert highest < 16 * (1 << 18) < path.stat().st_size


def test_a_column_that_the_profile_knows_is_no_misspelt_one(tmp_path):
    """ask_price is near bid_price, and means itself."""
    text = "symbol,timestamp,ask_price\nKTO,2014-03-10T00:00:00Z,1\n"
    with pytest.raises(OperatorError, match="the header lacks bid_price; it has"):
        read_k2(tmp_path, text, DataType.QUOTES)


WORDS = st.text(st.sampled_from('ab;,[]"{}:\\\n é€'), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(WORDS, max_size=3), st.dictionaries(WORDS, WORDS, max_size=3)), min_size=1)
)
def test_what_k2_query_writes_is_loaded_as_it_was(found):
    """Its CSV, with the lake's own columns, gives the records that it came from."""
    first = trade(sequence="1", trade_id="T", side="BUY")
    with tempfile.TemporaryDirectory() as folder:
        head = f"{HEADER},sequence,trade_id,side\n"
        [block] = read_k2(Path(folder), head + f"{first}\n" * len(found))
        conditions = pa.array([one for one, _ in found], pa.list_(pa.string()))
        attributes = pa.array(
            [list(more.items()) or None for _, more in found], pa.map_(pa.string(), pa.string())
        )
        schema = block.rows.schema
        stored = block.rows.set_column(schema.get_field_index("conditions"), "conditions", conditions)
        stored = stored.set_column(schema.get_field_index("attributes"), "attributes", attributes)
        side, asset_class = (stored[name].cast(pa.string()) for name in ("side", "asset_class"))
        shown = stored.set_column(schema.get_field_index("side"), "side", side)
        shown = shown.set_column(schema.get_field_index("asset_class"), "asset_class", asset_class)
        offsets = pa.array(range(len(found)), pa.int64())
        written = to_csv(Result(shown.append_column("offset", offsets), {}, None)).decode()
        [again] = read_k2(Path(folder), written)
    assert [] == again.rejects
    names = [name for name in schema.names if name != "source_line"]
    # An attribute map may come back in another order; its content is what counts.
    content = [
        [{**row, "attributes": dict(row["attributes"] or [])} for row in table.select(names).to_pylist()]
        for table in (stored, again.rows)
    ]
    assert content[0] == content[1]


@pytest.mark.parametrize(
    ("cell", "field", "reason"),
    [
        ('conditions\n{},"[1]"', "conditions", "'[1]' is not a JSON list of texts"),
        ('conditions\n{},"[""a"""', "conditions", "is not a JSON list of texts"),
        ('attributes\n{},"{{""a"":1}}"', "attributes", "is not a JSON object of texts"),
        ("attributes\n{},[]", "attributes", "'[]' is not a JSON object of texts"),
        ("attributes\n{},none", "attributes", "'none' is not a JSON object of texts"),
    ],
)
def test_a_cell_that_is_not_the_json_it_should_be(tmp_path, cell, field, reason):
    """It is a reject; a row beside it is read."""
    text = f"{HEADER},{cell.format(trade())}\n{trade()},\n"
    blocks = read_k2(tmp_path, text)
    assert 1 == len(rows(blocks))
    [one] = rejects(blocks)
    assert (field, 2) == (one.field, one.line)
    assert reason in one.reason
