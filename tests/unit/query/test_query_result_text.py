"""JSON and CSV of any column, against a slow writer."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.query.answers.result import Notice, Result
from k2app.query.answers.result_text import json_rows, to_csv, to_json

TEXT = st.text(max_size=6)
SMALL = st.integers(-(10**18) + 1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-8))
WIDE = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda units: Decimal(f"{units}E-16"))
TIMES = st.integers(-(10**15), 10**16).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)

COLUMNS = {
    "small": (pa.decimal128(18, 8), SMALL),
    "whole": (pa.decimal128(9, 0), st.integers(-(10**9) + 1, 10**9 - 1).map(Decimal)),
    "wide": (pa.decimal128(38, 16), WIDE),
    "time": (pa.timestamp("us", tz="UTC"), TIMES),
    "day": (pa.date32(), st.dates()),
    "text": (pa.string(), TEXT),
    "number": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "yes": (pa.bool_(), st.booleans()),
    "list": (pa.list_(pa.string()), st.lists(st.none() | TEXT, max_size=3)),
    "map": (pa.map_(pa.string(), pa.int64()), st.dictionaries(TEXT, st.integers(-5, 5), max_size=3)),
    "struct": (
        pa.struct([("a", pa.string()), ("b", pa.decimal128(18, 8))]),
        st.fixed_dictionaries({"a": TEXT, "b": SMALL}),
    ),
}

ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()}), max_size=6
)


def table_of(rows):
    schema = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
    made = [{**row, "map": None if row["map"] is None else list(row["map"].items())} for row in rows]
    return pa.Table.from_pylist(made, schema=schema)


def slow(value):
    """Value as a JSON value."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: slow(item) for key, item in value.items()}
    return value


@given(rows=ROWS, begin=st.integers(0, 3))
def test_rows_are_those_of_a_slow_writer(rows, begin):
    """Every type, nulls, slices of larger columns."""
    written = [json.loads(row) for row in json_rows(table_of(rows).slice(begin))]
    assert [{name: slow(value) for name, value in row.items()} for row in rows[begin:]] == written


@given(values=st.lists(st.none() | SMALL, min_size=1, max_size=5))
def test_numbers_have_the_digits_of_the_strings(values):
    """Only the quotes differ."""
    rows = pa.table({"x": pa.array(values, pa.decimal128(18, 8))})
    bare = [json.loads(row, parse_float=str, parse_int=str) for row in json_rows(rows, numbers=True)]
    assert [json.loads(row) for row in json_rows(rows)] == bare


@given(rows=ROWS)
def test_csv_has_the_same_texts(rows):
    """Null is empty; lists and maps are JSON."""
    written = list(csv.DictReader(io.StringIO(to_csv(Result(table_of(rows), {}, None)).decode(), newline="")))
    assert len(rows) == len(written)
    for row, texts in zip(rows, written, strict=True):
        for name in ("small", "wide", "time", "day", "text"):
            assert ("" if row[name] is None else slow(row[name])) == texts[name]
        for name in ("list", "map", "struct"):
            assert row[name] is None or slow(row[name]) == json.loads(texts[name])


def test_the_envelope_names_all_that_belongs_to_the_rows():
    """In this order; warnings are objects."""
    result = Result(
        pa.table({"a": [1]}), {"trades": 2**62, "gaps": None}, 1, "next", (Notice("code", "text", 3),)
    )
    expected = (
        '{"rows":[{"a":1}],"snapshots":{"trades":4611686018427387904,"gaps":null},'
        '"as_of":"1970-01-01T00:00:00.000001Z","next":"next",'
        '"warnings":[{"code":"code","message":"text","count":3}]}'
    )
    assert expected.encode() == to_json(result)


def test_no_rows_are_an_empty_list():
    """Also of chunked nothing."""
    empty = table_of([])
    assert b'{"rows":[],' == to_json(Result(empty, {}, None))[:11]
    assert [] == json_rows(empty.slice(0, 0))


@pytest.mark.parametrize("units", [1, -1, 10**17, -(10**18) + 1, 0, 10**8])
def test_small_and_large_decimals_have_no_exponent(units):
    """1E-8 would be a number to few."""
    [row] = json_rows(pa.table({"x": pa.array([Decimal(units).scaleb(-8)], pa.decimal128(18, 8))}))
    text = json.loads(row)["x"]
    assert "E" not in text.upper()
    assert Decimal(units).scaleb(-8) == Decimal(text)
