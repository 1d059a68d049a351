"""Reading what another version wrote: fields, symbols, promotions, decimals."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import avro_model as model
import pyarrow as pa
import pytest

from k2app.avro.decode import Decoded, Failure, decode, messages_from_list
from k2app.avro.schema import arrow_schema, parse

TRADE = json.loads((Path(__file__).parents[3] / "schemas" / "trade.v1.avsc").read_text())


def record(*fields: Any) -> dict[str, Any]:
    """A record of (name, type) or (name, type, default)."""
    keys = ("name", "type", "default")
    return {
        "type": "record",
        "name": "R",
        "fields": [dict(zip(keys, field, strict=False)) for field in fields],
    }


def project(writer: Any, values: list[Any], reader: Any) -> Decoded:
    """Write with fastavro, read with another schema."""
    messages = [model.framed(model.fastavro_bytes(writer, value)) for value in values]
    answer = decode(*messages_from_list(messages), {1: parse(writer)}, parse(reader))
    answer.batch.validate(full=True)
    assert arrow_schema(parse(reader)) == answer.batch.schema
    return answer


def one(writer: Any, values: list[Any], reader: Any) -> Decoded:
    """Records of one field v."""
    return project(record(("v", writer)), [{"v": value} for value in values], record(("v", reader)))


def decimal(precision: int, scale: int) -> dict[str, Any]:
    """A decimal in bytes."""
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    """An enum called E."""
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def test_missing_fields_take_their_defaults_and_extra_ones_go() -> None:
    """Fields by name in the reader's order; a nullable one without a default is null."""
    writer = record(("gone", "string"), ("kept", "long"))
    reader = record(
        ("filled", "string", "x"),
        ("kept", "long"),
        ("list", {"type": "array", "items": "int"}, [1, 2]),
        ("map", {"type": "map", "values": "string"}, {"k": "v"}),
        ("side", enum("A", "B"), "B"),
        ("price", decimal(6, 2), "\u0005"),
        ("absent", ["null", "int"]),
    )
    answer = project(writer, [{"gone": "g", "kept": 1}, {"gone": "h", "kept": 2}], reader)
    rest = {"list": [1, 2], "map": [("k", "v")], "side": "B", "price": Decimal("0.05"), "absent": None}
    assert [{"filled": "x", "kept": kept, **rest} for kept in (1, 2)] == answer.batch.to_pylist()
    assert ["A", "B"] == answer.batch.column("side").dictionary.to_pylist()


def test_a_field_that_is_dropped_is_still_checked() -> None:
    """Bad text in a field that the reader does not want fails the record."""
    writer, reader = parse(record(("gone", "string"), ("kept", "long"))), parse(record(("kept", "long")))
    messages = [model.framed(b"\x02\xff\x02"), model.framed(b"\x02a\x02")]
    answer = decode(*messages_from_list(messages), {1: writer}, reader)
    assert [Failure(0, "invalid UTF-8 in field gone")] == answer.failures
    assert [1] == answer.batch.column("kept").to_pylist()


@pytest.mark.parametrize(
    ("writer", "reader", "values", "expected"),
    [
        ("int", "long", [-5, 2**31 - 1], [-5, 2**31 - 1]),
        ("int", "float", [3], [3.0]),
        ("int", "double", [-3], [-3.0]),
        ("long", "float", [2**40], [float(2**40)]),
        ("long", "double", [2**53 + 1], [float(2**53)]),
        ("float", "double", [0.5, -1.25], [0.5, -1.25]),
        ("string", "bytes", ["é"], ["é".encode()]),
        ("bytes", "string", ["é".encode()], ["é"]),
        ("int", ["null", "long"], [1], [1]),
        ("null", ["null", enum("A")], [None], [None]),
        (["int", "null"], ["null", "double"], [1, None], [1.0, None]),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "double"}, [[1], []], [[1.0], []]),
        ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}, [{"a": 1}], [[("a", 1)]]),
        (enum("A", "B", "C"), enum("C", "A", "B"), ["A", "B", "C"], ["A", "B", "C"]),
        (enum("A", "B"), enum("Z", "A", default="Z"), ["A", "B"], ["A", "Z"]),
        (["null", enum("A", "B")], ["null", enum("B", "A")], [None, "A", "B"], [None, "A", "B"]),
        (decimal(5, 2), decimal(9, 4), [Decimal("-123.45")], [Decimal("-123.4500")]),
        (decimal(5, 2), decimal(38, 20), [Decimal("999.99")], [Decimal("999.99000000000000000000")]),
    ],
)
def test_promotions_keep_the_value(writer: Any, reader: Any, values: list[Any], expected: list[Any]) -> None:
    """What the specification promotes is read as the reader's type."""
    answer = one(writer, values, reader)
    assert [] == answer.failures
    assert expected == answer.batch.column("v").to_pylist()


@pytest.mark.parametrize(
    ("writer", "reader", "good", "bad", "reason"),
    [
        (["null", "int"], "int", 1, None, "null in field v, which the reader must have"),
        (enum("A", "B"), enum("A"), "A", "B", "unknown symbol in field v"),
        (["null", enum("B", "A")], ["null", enum("A")], None, "B", "unknown symbol in field v"),
        ("bytes", "string", b"a", b"\xff", "invalid UTF-8 in field v"),
        (
            decimal(5, 2),
            decimal(4, 2),
            Decimal("99.99"),
            Decimal("100.00"),
            "decimal beyond its precision in field v",
        ),
        (
            decimal(5, 2),
            decimal(6, 4),
            Decimal("-99.99"),
            Decimal(-100),
            "decimal beyond its precision in field v",
        ),
        (
            {"type": "array", "items": enum("A", "B")},
            {"type": "array", "items": enum("A")},
            ["A", "A"],
            ["A", "B", "B"],
            "unknown symbol in field v[]",
        ),
    ],
)
def test_a_value_that_the_reader_cannot_hold_fails_its_record(
    writer: Any, reader: Any, good: Any, bad: Any, reason: str
) -> None:
    """Only the records with such a value fail."""
    answer = one(writer, [good, bad, good, bad], reader)
    assert [Failure(1, reason), Failure(3, reason)] == answer.failures
    assert one(writer, [good, good], reader).batch.equals(answer.batch)


@pytest.mark.parametrize(
    ("writer", "reader", "why"),
    [
        ("string", "long", "field v: string"),
        ("long", "int", "field v: long"),
        ("double", "float", "field v: double"),
        (decimal(9, 4), decimal(9, 2), "field v: decimal"),
        ({"type": "array", "items": "string"}, {"type": "array", "items": "int"}, "field v"),
        ({"type": "array", "items": "int"}, "int", "field v: array"),
        ("null", "int", "field v: null"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "long", "logicalType": "timestamp-micros"},
            "field v: long",
        ),
        (
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "fixed", "name": "F", "size": 3},
            "field v: F",
        ),
    ],
)
def test_an_impossible_projection_fails_its_records_by_name(writer: Any, reader: Any, why: str) -> None:
    """Records of other schema ids are not affected."""
    schemas = {1: parse(record(("v", writer))), 2: parse(record(("v", reader)))}
    answer = decode(*messages_from_list([model.framed(b"\0", 1)] * 2), schemas, schemas[2])
    assert [0, 1] == [failure.index for failure in answer.failures]
    assert f"schema id 1 does not fit the reader: {why}" in answer.failures[0].reason


def test_another_record_or_a_missing_field_does_not_fit() -> None:
    """A quote among trades is named as such; so is a field nobody wrote."""
    trade, reader = parse(record(("v", "long"))), parse(record(("v", "long"), ("must", "int")))
    quote = parse({**record(("v", "long")), "name": "Quote"})
    messages = [model.framed(b"\2", i) for i in (1, 2)]
    assert ["record Quote is not R"] == [
        failure.reason.rpartition("reader: ")[2]
        for failure in decode(*messages_from_list(messages), {1: trade, 2: quote}, trade).failures
    ]
    answer = decode(*messages_from_list(messages[:1]), {1: trade}, reader)
    assert "field must: the writer has none" in answer.failures[0].reason


def test_a_renamed_field_is_found_by_its_alias() -> None:
    """The reader's aliases are names the writer may have used."""
    reader = record(("size", "long"))
    reader["fields"][0]["aliases"] = ["volume"]
    assert [4] == project(record(("volume", "long")), [{"volume": 4}], reader).batch.column(
        "size"
    ).to_pylist()


def test_a_second_version_of_the_trade_reads_the_first() -> None:
    """v1 and v2 of the trade in one batch, read as v2 and as v1."""
    second = json.loads(json.dumps(TRADE))
    second["fields"].insert(3, {"name": "venue", "type": ["null", "string"], "default": None})
    second["fields"][2]["type"]["symbols"].append("bonds")
    trade = {
        "symbol": "BHP", "exchange": "asx", "asset_class": "equities", "timestamp": 1_700_000_000_000_001,
        "price": Decimal("45.12000000"), "quantity": Decimal("100.00000000"), "currency": "AUD", "side": "BUY",
        "trade_id": "t-1", "conditions": ["XT", "CX"], "sequence": 0, "ingested_at": 1_700_000_000_000_002,
        "load_id": None, "source_line": None, "attributes": {"buyer": "7"},
    }  # fmt: skip
    messages = [
        model.framed(model.fastavro_bytes(TRADE, trade), 1),
        model.framed(model.fastavro_bytes(second, {**trade, "venue": "X"}), 2),
        model.framed(model.fastavro_bytes(second, {**trade, "venue": None, "asset_class": "bonds"}), 2),
    ]
    schemas = {1: parse(TRADE), 2: parse(second)}
    as_second = decode(*messages_from_list(messages), schemas, schemas[2])
    assert [None, "X", None] == as_second.batch.column("venue").to_pylist()
    assert ["equities", "equities", "bonds"] == as_second.batch.column("asset_class").to_pylist()
    as_first = decode(*messages_from_list(messages), schemas, schemas[1])
    assert [Failure(2, "unknown symbol in field asset_class")] == as_first.failures
    assert [model.comparable(trade)] * 2 == model.rows_of(as_first.batch)
    assert pa.types.is_decimal128(as_first.batch.schema.field("price").type)
