"""Reading schemas: the type mapping, names, defaults, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from k2app.avro.schema import arrow_schema, parse
from k2app.avro.types import MISSING
from k2app.errors import OperatorError

SCHEMAS = sorted((Path(__file__).parents[3] / "schemas").glob("*.avsc"))


def record(*types: Any, **more: Any) -> dict[str, Any]:
    """A record with fields a, b, ... of these types."""
    fields = [{"name": chr(97 + i), "type": kind} for i, kind in enumerate(types)]
    return {"type": "record", "name": "R", "fields": fields, **more}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("string", pa.string()),
        ("bytes", pa.binary()),
        ("int", pa.int32()),
        ("long", pa.int64()),
        ("float", pa.float32()),
        ("double", pa.float64()),
        ("boolean", pa.bool_()),
        ("null", pa.null()),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, pa.dictionary(pa.int8(), pa.string())),
        ({"type": "fixed", "name": "F", "size": 7}, pa.binary(7)),
        ({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8}, pa.decimal128(18, 8)),
        (
            {"type": "fixed", "name": "F", "size": 16, "logicalType": "decimal", "precision": 38},
            pa.decimal128(38, 0),
        ),
        ({"type": "long", "logicalType": "timestamp-millis"}, pa.timestamp("ms", "UTC")),
        ({"type": "long", "logicalType": "timestamp-micros"}, pa.timestamp("us", "UTC")),
        ({"type": "long", "logicalType": "timestamp-nanos"}, pa.timestamp("ns", "UTC")),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, pa.timestamp("ms")),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, pa.timestamp("us")),
        ({"type": "long", "logicalType": "local-timestamp-nanos"}, pa.timestamp("ns")),
        ({"type": "int", "logicalType": "date"}, pa.date32()),
        ({"type": "string", "logicalType": "uuid"}, pa.string()),
        ({"type": "int", "logicalType": "time-millis"}, pa.int32()),
        ({"type": "array", "items": "string"}, pa.list_(pa.string())),
        ({"type": "array", "items": ["null", "long"]}, pa.list_(pa.int64())),
        (
            {"type": "map", "values": {"type": "array", "items": "int"}},
            pa.map_(pa.string(), pa.list_(pa.int32())),
        ),
        ({"type": {"type": "array", "items": "int"}}, pa.list_(pa.int32())),
    ],
)
def test_every_type_has_its_arrow_type(kind: Any, expected: Any) -> None:
    """The mapping of the module's docstring, plain and nullable in both orders."""
    assert pa.schema([pa.field("a", expected, nullable=kind == "null")]) == arrow_schema(parse(record(kind)))
    if kind != "null":
        wanted = pa.schema([pa.field("a", expected)])
        assert wanted == arrow_schema(parse(record(["null", kind])))
        assert wanted == arrow_schema(parse(record([kind, "null"])))


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("not json", "not JSON"),
        ('"string"', "must be a record"),
        ({"type": "record", "name": "R", "fields": []}, "fields"),
        (record("decimal"), "a: 'decimal'"),
        (record(record("int")), "a: 'record'"),
        (record("R"), "a: 'R'"),
        (record(["null", "int", "string"]), "union"),
        (record(["int", "string"]), "union"),
        (record(["null"]), "union"),
        (record(["null", ["null", "int"]]), "union"),
        (record({"type": "array"}), "a: 'array'"),
        (record({"type": "array", "items": "nothing"}), r"a\[\]: 'nothing'"),
        (record({"type": "map", "values": {"type": "map", "values": 3}}), r"a{}{}: 3"),
        (record({"type": "enum", "name": "E", "symbols": ["A", "A"]}), "enum E"),
        (record({"type": "enum", "name": "E", "symbols": [f"S{i}" for i in range(129)]}), "129 symbols"),
        (record({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}), "default 'B'"),
        (record({"type": "fixed", "name": "F", "size": 0}), "fixed F"),
        (record({"type": "fixed", "size": 1}), "needs a name"),
        (record(*[{"type": "fixed", "name": "F", "size": 1}] * 2), "b: 'F': defined twice"),
        (record({"type": "bytes", "logicalType": "decimal", "precision": 39}), "decimal.39"),
        (record({"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 4}), "scale"),
        (
            record({"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 5}),
            "2 bytes do not hold 5 digits",
        ),
        (record("int", fields=[{"name": "a", "type": "int"}] * 2), "twice"),
        (record("int", fields=[{"name": "a", "type": "int", "default": 2**31}]), "default 2147483648"),
        (record("int", fields=[{"name": "a", "type": "string", "default": None}]), "default None"),
        (record("int", fields=[{"type": "int"}]), "needs a name and a type"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(raw: Any, named: str) -> None:
    """The message names the field's path and what stands there."""
    with pytest.raises(OperatorError, match=named):
        parse(raw)


def test_a_named_type_is_used_again_by_its_name() -> None:
    """Short and full names find a type of the enclosing namespace; a definition's own namespace is kept."""
    enum = {"type": "enum", "name": "Side", "symbols": ["B", "S"]}
    other = {"type": "fixed", "name": "F", "namespace": "other", "size": 2}
    schema = parse(record(enum, "Side", "n.Side", ["null", "Side"], other, "other.F", namespace="n"))
    assert schema.fields[0].type == schema.fields[1].type == schema.fields[2].type
    assert schema.fields[4].type == schema.fields[5].type
    assert schema.name == "n.R"
    with pytest.raises(OperatorError, match="'F'"):
        parse(record(other, "F", namespace="n"))


def test_defaults_are_kept_as_arrow_takes_them() -> None:
    """Bytes are code points, decimals exact, maps pairs; no default is not a null one."""
    fields = [
        ("none", "int", ...),
        ("null", ["null", "int"], None),
        ("second", ["null", "int"], 7),
        ("octets", "bytes", "\u00ff\u0000"),
        ("price", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, "\u00ff"),
        ("map", {"type": "map", "values": "double"}, {"x": 1}),
        ("list", {"type": "array", "items": "string"}, ["y"]),
        ("flag", "boolean", False),
    ]
    raw = [{"name": n, "type": t} | ({} if d is ... else {"default": d}) for n, t, d in fields]
    schema = parse(json.dumps(record(fields=raw)))
    expected = [MISSING, None, 7, b"\xff\0", Decimal("-0.01"), [("x", 1.0)], ["y"], False]
    assert expected == [field.default for field in schema.fields]
    assert hash(schema) == hash(parse(record(fields=raw)))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_shipped_schemas_are_in_the_subset(path: Path) -> None:
    """Every field of every shipped schema keeps its name, and is nullable where it is a union."""
    raw = json.loads(path.read_text())
    arrow = arrow_schema(parse(path.read_text()))
    assert [field["name"] for field in raw["fields"]] == arrow.names
    assert [isinstance(field["type"], list) for field in raw["fields"]] == [field.nullable for field in arrow]
