"""A slow, obvious model of the codec: random schemas and values, a writer of any block layout, a strict reader.

The reader accepts what K2 accepts; the tests hold it against fastavro, which is laxer (`LAX`) in known ways.
"""

from __future__ import annotations

import io
import math
import struct
from decimal import Context, Decimal
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import strategies as st

EXACT = Context(prec=60)
MAX_NULLS = 65_536
LAX = {
    "varint",  # fastavro drops bits beyond 64
    "int32",  # and takes any long for an int
    "boolean",  # any byte but 0 is true
    "utf-8",  # depends on its build
    "negative",  # a negative length reads the rest, a negative index counts from the end
    "decimal",  # rounds to the precision; no bytes are 0
    "key",  # the last of two equal keys wins
    "block",  # the block's size is not looked at
    "nulls",  # any number of them
}
"""Refusals of the strict reader that fastavro may not share."""

LONG_LOGICAL = [
    f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos")
]
INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)


class Bad(Exception):  # noqa: N818 - an answer, not a fault of the program
    """The bytes are no value of the schema."""


# --- random schemas and values ---------------------------------------------------------------------------------


def leaves(name: str) -> st.SearchStrategy[Any]:
    """A type without children, named after where it stands."""
    plain = ["boolean", "int", "long", "float", "double", "bytes", "string", "string", "null"]
    return st.one_of(
        st.sampled_from(plain),
        st.sampled_from(LONG_LOGICAL).map(lambda logical: {"type": "long", "logicalType": logical}),
        st.just({"type": "int", "logicalType": "date"}),
        st.integers(1, 5).map(
            lambda n: {"type": "enum", "name": f"{name}_e", "symbols": [f"S{i}" for i in range(n)]}
        ),
        st.integers(1, 20).map(lambda n: {"type": "fixed", "name": f"{name}_f", "size": n}),
        st.tuples(st.integers(1, 38), st.integers(0, 38)).map(
            lambda d: {"type": "bytes", "logicalType": "decimal", "precision": d[0], "scale": min(d)}
        ),
        st.tuples(st.integers(1, 20), st.integers(0, 38)).map(lambda d: fixed_decimal(f"{name}_d", *d)),
    )


def fixed_decimal(name: str, size: int, scale: int) -> dict[str, Any]:
    """A decimal of as many digits as the fixed holds."""
    precision = min(38, len(str(2 ** (8 * size - 1))) - 1)
    return {
        "type": "fixed",
        "name": name,
        "size": size,
        "logicalType": "decimal",
        "precision": precision,
        "scale": min(scale, precision),
    }


@st.composite
def types(draw: st.DrawFn, name: str, depth: int = 2) -> Any:
    """Any supported type."""
    form = draw(st.sampled_from(["leaf", "leaf", "nullable", "array", "map"])) if depth else "leaf"
    if form == "leaf":
        return draw(leaves(name))
    inner = draw(types(f"{name}x", depth - 1))
    if form == "nullable" and not isinstance(inner, list) and inner != "null":
        return draw(st.permutations(["null", inner]))
    if form == "map":
        return {"type": "map", "values": inner}
    return {"type": "array", "items": inner}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """A record of random fields."""
    count = draw(st.integers(1, 5))
    fields = [{"name": f"f{i}", "type": draw(types(f"t{i}"))} for i in range(count)]
    return {"type": "record", "name": "R", "namespace": "n", "fields": fields}


def values(schema: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one per type
    """Values of a type, as fastavro takes and gives them (times are integers)."""
    if isinstance(schema, list):
        return st.one_of(*map(values, schema))
    kind = schema["type"] if isinstance(schema, dict) else schema
    logical = schema.get("logicalType") if isinstance(schema, dict) else None
    if logical == "decimal":
        digits = 10 ** schema["precision"] - 1
        edges = st.sampled_from(
            [0, 127, 128, -128, -129, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, digits, -digits]
        )
        whole = st.one_of(st.integers(-digits, digits), edges.filter(lambda v: abs(v) <= digits))
        return whole.map(lambda v: Decimal(v).scaleb(-schema["scale"], EXACT))
    simple = {
        "null": st.none(),
        "boolean": st.booleans(),
        "int": INT32,
        "long": st.one_of(INT64, st.integers(-200, 200)),
        "float": st.floats(width=32),
        "double": st.floats(),
        "bytes": st.binary(max_size=20),
        "string": st.text(max_size=12),
    }
    if kind in simple:
        return simple[kind]
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if kind == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    if kind == "array":
        return st.lists(values(schema["items"]), max_size=5)
    if kind == "map":
        return st.dictionaries(st.text(max_size=4), values(schema["values"]), max_size=4)
    return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in schema["fields"]})


# --- writing ---------------------------------------------------------------------------------------------------


def without_times(schema: Any) -> Any:
    """The schema as fastavro gets it: times stay integers, so that the extremes compare too."""
    if isinstance(schema, list):
        return [without_times(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: v for k, v in schema.items() if k != "logicalType" or v == "decimal"}
    return {k: without_times(v) if k in ("type", "items", "values") else v for k, v in kept.items()} | (
        {"fields": [without_times(field) for field in schema["fields"]]} if "fields" in schema else {}
    )


def fastavro_bytes(schema: Any, value: Any) -> bytes:
    """What fastavro writes."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(without_times(schema)), value)
    return out.getvalue()


def fastavro_value(schema: Any, body: bytes) -> Any:
    """What fastavro reads, if it reads everything."""
    source = io.BytesIO(body)
    try:
        value = fastavro.schemaless_reader(source, fastavro.parse_schema(without_times(schema)), None)
    except Exception as error:
        raise Bad(str(error)) from error
    if source.read(1):
        raise Bad("trailing")
    return value


def varint(value: int) -> bytes:
    """Zigzag."""
    bits = (value << 1) ^ (value >> 63)
    out = bytearray()
    while bits > 0x7F:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes([*out, bits])


def blocks_bytes(schema: Any, value: Any, cuts: Any) -> bytes:
    """Write with arrays and maps in several blocks; `cuts()` says how many items are next, negative: with size."""
    if isinstance(schema, list):
        branch = (
            schema.index("null") if value is None else next(i for i, b in enumerate(schema) if b != "null")
        )
        return varint(branch) + blocks_bytes(schema[branch], value, cuts)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        return b"".join(blocks_bytes(f["type"], value[f["name"]], cuts) for f in schema["fields"])
    if kind not in ("array", "map"):
        return fastavro_bytes(
            {"type": "record", "name": "W", "fields": [{"name": "v", "type": schema}]}, {"v": value}
        )
    if kind == "array":
        items = [blocks_bytes(schema["items"], item, cuts) for item in value]
    else:
        items = [
            blocks_bytes("string", key, cuts) + blocks_bytes(schema["values"], item, cuts)
            for key, item in value.items()
        ]
    out = b""
    while items:
        cut = cuts()
        block, items = items[: abs(cut)], items[abs(cut) :]
        body = b"".join(block)
        out += (varint(-len(block)) + varint(len(body)) if cut < 0 else varint(len(block))) + body
    return out + b"\0"


# --- reading, strictly -----------------------------------------------------------------------------------------


class Reader:
    """Reads one body; every step checks."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at, self.nulls = body, 0, 0

    def take(self, size: int) -> bytes:
        if size < 0:
            raise Bad("negative")
        if self.at + size > len(self.body):
            raise Bad("truncated")
        self.at += size
        return self.body[self.at - size : self.at]

    def varint(self) -> int:
        bits = 0
        for k in range(10):
            byte = self.take(1)[0]
            bits |= (byte & 0x7F) << (7 * k)
            if byte < 0x80:
                break
        if byte >= 0x80 or bits >= 2**64:
            raise Bad("varint")
        return (bits >> 1) ^ -(bits & 1)

    def index(self, count: int) -> int:
        value = self.varint()
        if value < 0:
            raise Bad("negative")
        if value >= count:
            raise Bad("index")
        return value

    def text(self) -> str:
        try:
            return self.take(self.varint()).decode()
        except UnicodeDecodeError as error:
            raise Bad("utf-8") from error

    def read(self, schema: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one per type
        if isinstance(schema, list):
            return self.read(schema[self.index(2)])
        kind = schema["type"] if isinstance(schema, dict) else schema
        match kind:
            case "null":
                return None
            case "boolean":
                byte = self.take(1)[0]
                if byte > 1:
                    raise Bad("boolean")
                return byte == 1
            case "int" | "long":
                value = self.varint()
                if kind == "int" and not -(2**31) <= value < 2**31:
                    raise Bad("int32")
                return value
            case "float":
                return struct.unpack("<f", self.take(4))[0]
            case "double":
                return struct.unpack("<d", self.take(8))[0]
            case "string":
                return self.text()
            case "bytes" | "fixed":
                octets = self.take(self.varint() if kind == "bytes" else schema["size"])
                decimal = isinstance(schema, dict) and schema.get("logicalType") == "decimal"
                return self.decimal(schema, octets) if decimal else octets
            case "enum":
                return schema["symbols"][self.index(len(schema["symbols"]))]
            case "array":
                return self.blocks(lambda: self.read(schema["items"]), schema["items"] == "null")
            case "map":
                pairs = self.blocks(lambda: (self.text(), self.read(schema["values"])), free=False)
                if len(dict(pairs)) < len(pairs):
                    raise Bad("key")
                return dict(pairs)
            case _:
                return {field["name"]: self.read(field["type"]) for field in schema["fields"]}

    def decimal(self, schema: Any, octets: bytes) -> Decimal:
        unscaled = int.from_bytes(octets, "big", signed=True)
        too_long = "size" not in schema and not 1 <= len(octets) <= 16
        if too_long or abs(unscaled) >= 10 ** schema["precision"]:
            raise Bad("decimal")
        return Decimal(unscaled).scaleb(-schema["scale"], EXACT)

    def blocks(self, item: Any, free: bool) -> list[Any]:
        items: list[Any] = []
        while count := self.varint():
            size = self.varint() if count < 0 else None
            if size is not None and size < 0:
                raise Bad("negative")
            self.nulls += abs(count) if free else 0
            if self.nulls > MAX_NULLS:
                raise Bad("nulls")
            start = self.at
            items += [item() for _ in range(abs(count))]
            if size is not None and self.at - start != size:
                raise Bad("block")
        return items


def strict_value(schema: Any, body: bytes) -> Any:
    """What K2 must read, or Bad."""
    reader = Reader(body)
    value = reader.read(schema)
    if reader.at != len(body):
        raise Bad("trailing")
    return value


# --- comparing -------------------------------------------------------------------------------------------------


def bare(kind: Any) -> Any:
    """The Arrow type with times as integers."""
    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_date32(kind):
        return pa.int32()
    if pa.types.is_list(kind):
        return pa.list_(bare(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(pa.string(), bare(kind.item_type))
    return kind


def without_time(column: Any) -> Any:
    """Times as integers. What has none is left alone: Arrow's cast of a list of nulls loses items."""
    kind = bare(column.type)
    return column if kind == column.type else column.cast(kind)


def rows_of(batch: Any) -> list[Any]:
    """A batch's rows, comparable: times are integers, floats are bits, maps are dictionaries."""
    columns = [
        [comparable(value, column.type) for value in without_time(column).to_pylist()]
        for column in batch.columns
    ]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def comparable(value: Any, kind: Any = None) -> Any:
    """A value as `rows_of` gives it; pairs are a map where the Arrow type says so."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, Decimal):
        return value.as_tuple()
    if kind is not None and pa.types.is_map(kind) and value is not None:
        return {key: comparable(item, kind.item_type) for key, item in value}
    if isinstance(value, list):
        return [comparable(item, kind and kind.value_type) for item in value]
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    return value


def framed(body: bytes, schema_id: int = 1) -> bytes:
    """A message in Confluent's wire format."""
    return b"\0" + schema_id.to_bytes(4, "big") + body
