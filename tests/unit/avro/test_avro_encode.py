"""Encoding: what columns may come as, what is refused, and the shipped schemas both ways."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import avro_model as model
import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.avro import encode as encode_module
from k2app.avro.decode import decode, messages_from_list
from k2app.avro.encode import Encoded, encode
from k2app.avro.schema import arrow_schema, parse
from k2app.errors import OperatorError, RecordError

SCHEMAS = sorted((Path(__file__).parents[3] / "schemas").glob("*.avsc"))
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


def of(kind: Any) -> Any:
    """A record with one field v."""
    return {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    """A decimal in bytes."""
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def batch(array: Any) -> Any:
    """One column v."""
    return pa.RecordBatch.from_arrays([array], names=["v"])


def messages(encoded: Encoded) -> list[bytes]:
    """The messages one by one."""
    data = encoded.data.tobytes()
    return [data[a:b] for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]


def written(kind: Any, values: list[Any]) -> list[bytes]:
    """The messages as fastavro writes them."""
    return [model.framed(model.fastavro_bytes(of(kind), {"v": value})) for value in values]


MICROS = {"type": "long", "logicalType": "timestamp-micros"}


@pytest.mark.parametrize(
    ("kind", "array", "values"),
    [
        (ENUM, pa.array(["B", "A"]), ["B", "A"]),
        (ENUM, pa.array(["B", "A"], pa.large_string()), ["B", "A"]),
        (ENUM, pa.array(["B", "A"]).dictionary_encode(), ["B", "A"]),
        (["null", ENUM], pa.array([None, "B", "A"]).dictionary_encode(), [None, "B", "A"]),
        ("string", pa.array(["x", ""], pa.large_string()), ["x", ""]),
        ("string", pa.array(["x", ""], pa.string_view()), ["x", ""]),
        ("string", pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        (["null", "string"], pa.array(["x", None]).dictionary_encode(), ["x", None]),
        ("bytes", pa.array([b"x", b""], pa.large_binary()), [b"x", b""]),
        ("long", pa.array([1, 2**32 - 1], pa.uint32()), [1, 2**32 - 1]),
        ("long", pa.array([1, -1], pa.int32()), [1, -1]),
        ("int", pa.array([1, -1], pa.int64()), [1, -1]),
        (decimal(18, 8), pa.array([Decimal("1.25")], pa.decimal128(5, 2)), [Decimal("1.25")]),
        (decimal(4, 2), pa.array([Decimal("1.2500")], pa.decimal128(20, 4)), [Decimal("1.25")]),
        (["null", decimal(4, 2)], pa.array([None, Decimal("1.25")], pa.decimal256(50, 4)), [None, Decimal("1.25")]),
        (MICROS, pa.array([1, 2], pa.timestamp("ms", "UTC")), [1000, 2000]),
        (MICROS, pa.array([1000, 2000], pa.timestamp("ns", "Asia/Tokyo")), [1, 2]),
        (["null", "long"], pa.nulls(2), [None, None]),
        (["null", {"type": "array", "items": "int"}], pa.nulls(2), [None, None]),
        (
            {"type": "array", "items": "string"},
            pa.array([["a"], []], pa.large_list(pa.large_string())),
            [["a"], []],
        ),
        (["null", {"type": "map", "values": "long"}], pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
         [{"k": 1}, None]),
    ],
)  # fmt: skip
def test_columns_may_come_in_kindred_types(kind: Any, array: Any, values: list[Any]) -> None:
    """What becomes the field's type without loss is written as if it had it."""
    assert written(kind, values) == messages(encode(batch(array), parse(of(kind)), 1))


@pytest.mark.parametrize(
    ("kind", "good", "bad", "named"),
    [
        ("long", pa.array([1]), pa.array([None], pa.int64()), "must not be null"),
        (ENUM, pa.array(["A"]), pa.array(["C"]), "field v: 'C': not one of A, B"),
        (decimal(4, 2), pa.array([Decimal("99.99")]), pa.array([Decimal("100.00")]), "more than 4 digits"),
        (decimal(4, 1), pa.array([Decimal("1.10")]), pa.array([Decimal("1.11")]), "field v: Decimal"),
        ("int", pa.array([2**31 - 1]), pa.array([2**31]), "field v: 2147483648"),
        (
            {"type": "array", "items": "int"},
            pa.array([[1]], pa.list_(pa.int32())),
            pa.array([[1, None]], pa.list_(pa.int32())),
            r"field v\[\]: None: must not be null",
        ),
        (
            {"type": "map", "values": "int"},
            pa.array([[("a", 1), ("b", 1)]], pa.map_(pa.string(), pa.int32())),
            pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int32())),
            "a key stands twice",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_row(
    kind: Any, good: Any, bad: Any, named: str
) -> None:
    """The message names the field and the first such row of the batch, whatever slice it is in."""
    good, bad = (
        array.cast(pa.decimal128(20, 2)) if pa.types.is_decimal(array.type) else array
        for array in (good, bad)
    )
    schema = parse(of(kind))
    row = encode_module.SLICE_ROWS + 17
    column = pa.concat_arrays([good.take(pa.array(np.zeros(row, np.int32))), bad, good, bad])
    with pytest.raises(RecordError, match=rf"row {row}, .*{named}"):
        encode(batch(column), schema, 1)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (batch(pa.array([1.5])), "field v: double is not int64"),
        (batch(pa.array(["1"])), "field v: string is not int64"),
        (pa.RecordBatch.from_pydict({"w": [1]}), r"missing \['v'\], not fields \['w'\]"),
        (pa.RecordBatch.from_pydict({"v": [1], "w": [1]}), r"not fields \['w'\]"),
        (pa.RecordBatch.from_arrays([pa.array([1])] * 2, names=["v", "v"]), r"\['v', 'v'\]"),
    ],
)
def test_other_columns_are_an_operators_error(table: Any, named: str) -> None:
    """A column that is missing, unknown or of another kind is named."""
    with pytest.raises(OperatorError, match=named):
        encode(table, parse(of("long")), 1)


@pytest.mark.parametrize("kind", ["array", "map"])
def test_slices_chunks_and_offsets_do_not_show(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice of a chunked table is written like its rows alone, nulls and nested columns too."""
    texts: list[Any] = [
        None if i % 5 == 0 else ["x" * j if j % 2 else None for j in range(i % 4)] for i in range(100)
    ]
    if kind == "array":
        inner: Any = {"type": "array", "items": ["null", "string"]}
        column, values = pa.array(texts, pa.list_(pa.string())), texts
    else:
        inner = {"type": "map", "values": ["null", "string"]}
        values = [None if row is None else {str(j): text for j, text in enumerate(row)} for row in texts]
        pairs = [None if row is None else list(row.items()) for row in values]
        column = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    table = pa.Table.from_batches([batch(column.slice(0, 31)), batch(column.slice(31))]).slice(3, 90)
    monkeypatch.setattr(encode_module, "SLICE_ROWS", 13)
    nullable = ["null", inner]
    assert written(nullable, values[3:93]) == messages(encode(table, parse(of(nullable)), 1))


def test_what_lies_behind_a_null_list_is_not_written() -> None:
    """Arrow allows items under a null; Avro has none there."""
    column = pa.ListArray.from_arrays(
        pa.array([0, 2, 4, 5], pa.int32()), pa.array([1, 2, 3, 4, 5]), mask=pa.array([False, True, False])
    )
    kind = ["null", {"type": "array", "items": "long"}]
    assert written(kind, [[1, 2], None, [5]]) == messages(encode(batch(column), parse(of(kind)), 1))


def test_no_rows_give_no_messages() -> None:
    """An empty batch has one offset."""
    encoded = encode(batch(pa.array([], pa.int64())), parse(of("long")), 1)
    assert (b"", [0]) == (encoded.data.tobytes(), encoded.offsets.tolist())


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_shipped_schemas_go_round(path: Path) -> None:
    """Values, fastavro's messages, a batch, the same messages, fastavro's values."""
    raw = json.loads(path.read_text())
    schema = parse(raw)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(model.values(raw), min_size=1, max_size=10))
    def check(rows: list[Any]) -> None:
        expected = [model.framed(model.fastavro_bytes(raw, row), 3) for row in rows]
        answer = decode(*messages_from_list(expected), {3: schema}, schema)
        assert [] == answer.failures
        assert [model.comparable(row) for row in rows] == model.rows_of(answer.batch)
        assert expected == messages(encode(answer.batch, schema, 3))

    check()


def test_times_and_dates_are_those_of_fastavro() -> None:
    """Over the whole range of datetime, as datetimes; the integers beyond are in the property tests."""
    raw = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "t", "type": MICROS},
            {"name": "m", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "l", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
            {"name": "d", "type": {"type": "int", "logicalType": "date"}},
        ],
    }
    naive = [
        datetime.fromisoformat(t)
        for t in ("0001-01-01", "1969-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999")
    ]
    rows = [
        {
            "t": t.replace(tzinfo=UTC),
            "m": t.replace(microsecond=5000, tzinfo=UTC),
            "l": t,
            "d": date(t.year, 2, 3),
        }
        for t in naive
    ]
    slow, schema = fastavro.parse_schema(raw), parse(raw)
    expected = []
    for row in rows:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, slow, row)
        assert row == fastavro.schemaless_reader(io.BytesIO(out.getvalue()), slow, None)
        expected.append(model.framed(out.getvalue()))
    column = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(schema))
    assert expected == messages(encode(column, schema, 1))
    assert rows == decode(*messages_from_list(expected), {1: schema}, schema).batch.to_pylist()


def test_five_thousand_symbols_are_read_as_row_by_row() -> None:
    """A batch over many symbols and several slices equals fastavro's rows, one by one."""
    raw = json.loads(SCHEMAS[-1].read_text())
    assert raw["name"] == "Trade"
    rows = [
        {
            "symbol": f"S{i % 5000:04d}", "exchange": "asx", "asset_class": "equities", "timestamp": 10**15 + i,
            "price": Decimal(i * 7919 % 10**9).scaleb(-8), "quantity": Decimal(i).scaleb(-8), "currency": "AUD",
            "side": "BUY" if i % 2 else "SELL", "trade_id": None if i % 3 else str(i),
            "conditions": ["XT"] * (i % 7 // 5), "sequence": i, "ingested_at": 10**15, "load_id": "L",
            "source_line": i + 1, "attributes": {"timestamp_ns": "1"} if i % 100 == 0 else None,
        }
        for i in range(40_000)
    ]  # fmt: skip
    slow, schema, expected = fastavro.parse_schema(model.without_times(raw)), parse(raw), []
    for row in rows:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, slow, row)
        expected.append(model.framed(out.getvalue()))
    answer = decode(*messages_from_list(expected), {1: schema}, schema)
    assert [] == answer.failures
    assert [model.comparable(row) for row in rows] == model.rows_of(answer.batch)
    assert expected == messages(encode(answer.batch, schema, 1))
