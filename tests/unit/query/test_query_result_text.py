"""JSON and CSV of any column, against a slow writer."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from k2app.query.answers import column_text
from k2app.query.answers.column_text import plain_text
from k2app.query.answers.result import Notice, Result
from k2app.query.answers.result_text import json_fragments, json_texts, to_csv, to_json
from k2app.query.answers.row_text import merged_rows

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


def json_texts_of(table, **how):
    return json_texts(table, **how).to_pylist()


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
    written = [json.loads(row) for row in json_texts_of(table_of(rows).slice(begin))]
    assert [{name: slow(value) for name, value in row.items()} for row in rows[begin:]] == written


@given(values=st.lists(st.none() | SMALL, min_size=1, max_size=5))
def test_numbers_have_the_digits_of_the_strings(values):
    """Only the quotes differ."""
    rows = pa.table({"x": pa.array(values, pa.decimal128(18, 8))})
    bare = [json.loads(row, parse_float=str, parse_int=str) for row in json_texts_of(rows, numbers=True)]
    assert [json.loads(row) for row in json_texts_of(rows)] == bare


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
    assert [] == json_texts_of(empty.slice(0, 0))


@pytest.mark.parametrize("units", [1, -1, 10**17, -(10**18) + 1, 0, 10**8])
def test_small_and_large_decimals_have_no_exponent(units):
    """1E-8 would be a number to few."""
    [row] = json_texts_of(pa.table({"x": pa.array([Decimal(units).scaleb(-8)], pa.decimal128(18, 8))}))
    text = json.loads(row)["x"]
    assert "E" not in text.upper()
    assert Decimal(units).scaleb(-8) == Decimal(text)


@pytest.fixture(params=[1, 2_048], ids=["equal values once", "one by one"])
def small_rows(request, monkeypatch):
    """From how many rows on equal values are looked for."""
    monkeypatch.setattr(column_text, "SMALL_ROWS", request.param)


SOME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def line(row, names=tuple(COLUMNS), head=""):
    """A row as Python's own writer has it, byte for byte."""
    members = {name: slow(row[name]) for name in names}
    if members.get("struct") is not None:
        members["struct"] = {name: members["struct"][name] for name in ("a", "b")}
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return f"{{{head},{text[1:]}\n" if head else text + "\n"


@SOME
@given(rows=ROWS, times=st.integers(1, 6), begin=st.integers(0, 3))
@pytest.mark.usefixtures("small_rows")
def test_lines_are_byte_for_byte_those_of_a_slow_writer(rows, times, begin):
    """Keys in order, escapes, digits; however often a value stands in its column."""
    repeated = (rows * times)[begin:]
    table = table_of(rows * times).slice(begin)
    assert [line(row) for row in repeated] == json_texts_of(table, end="\n")


@SOME
@given(rows=ROWS, kept=st.lists(st.booleans(), min_size=6, max_size=6))
@pytest.mark.usefixtures("small_rows")
def test_dictionaries_are_written_as_their_values(rows, kept):
    """Nulls of their own, values that stand nowhere, values of any type."""
    plain = table_of(rows)
    names = ("text", "number", "small", "time", "day")
    table = pa.table({name: plain[name].combine_chunks().dictionary_encode() for name in names})
    assume(any(kept[: len(rows)]))
    mask = pa.array(kept[: len(rows)], pa.bool_())
    expected = [line(row, names) for row, keep in zip(rows, kept, strict=False) if keep]
    assert expected == json_texts_of(table.filter(mask), end="\n")


@SOME
@given(first=ROWS, second=ROWS, data=st.data())
@pytest.mark.usefixtures("small_rows")
def test_rows_of_two_tables_are_merged_as_they_stand(first, second, data):
    """Each table's rows in order, with its own head and columns."""
    which = data.draw(st.permutations([0] * len(first) + [1] * len(second)))
    tables = (table_of(first), table_of(second).select(["number", "list", "time"]))
    heads = ('"record":"first"', '"record":"second"')
    texts = [
        (json_fragments(table, head=head, end="\n"), table.num_rows)
        for table, head in zip(tables, heads, strict=True)
    ]
    left = [iter(first), iter(second)]
    expected = [line(next(left[n]), tables[n].column_names, heads[n]) for n in which]
    assert expected == merged_rows(texts, np.array(which, np.int64)).to_pylist()


@SOME
@given(values=st.lists(st.none() | SMALL, max_size=6), times=st.integers(1, 5))
@pytest.mark.usefixtures("small_rows")
def test_plain_texts_keep_null(values, times):
    """Null is no text; every other value is the one of JSON without quotes."""
    texts = plain_text(pa.array(values * times, pa.decimal128(18, 8))).to_pylist()
    assert [None if value is None else slow(value) for value in values * times] == texts


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_have_their_digits(unit):
    """Six after the point, and nine of nanoseconds; before 1970 too."""
    stamps = pa.array([-1, 0, 1, 10**9 + 7], pa.timestamp(unit, "UTC"))
    digits = 9 if unit == "ns" else 6
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    expected = []
    for value in (-1, 0, 1, 10**9 + 7):
        whole, part = divmod(value, per_second)
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole)
        fraction = part * 10**digits // per_second
        expected.append(f"{day:%Y-%m-%dT%H:%M:%S}.{fraction:0{digits}d}Z")
    assert expected == plain_text(stamps).to_pylist()


@given(
    units=st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=8), scale=st.integers(0, 18)
)
def test_decimals_of_any_scale_have_their_digits(units, scale):
    """Three digits at a time give the same as Python's own."""
    values = [Decimal(f"{number}E-{scale}") for number in units]
    texts = plain_text(pa.array(values, pa.decimal128(18, scale))).to_pylist()
    assert [slow(value) for value in values] == texts
