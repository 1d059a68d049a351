"""Compatibility of schema versions, and batches that mix them."""

import copy
from decimal import Context, Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from k2app.avro.compatibility import incompatibility
from k2app.avro.decode import decode
from k2app.avro.encode import encode
from k2app.avro.schema import arrow_schema, parse
from tests.schema_versions import evolved

FIRST, SECOND = parse(schemas.newest("trade")), parse(evolved("trade"))

_CONTEXT = Context(prec=40)

SHELL = {
    "symbol": "S", "exchange": "asx", "asset_class": "equities", "timestamp": 1, "currency": "AUD", "side": "BUY",
    "trade_id": None, "conditions": [], "sequence": 1, "ingested_at": 2, "load_id": None, "source_line": None,
    "attributes": None,
}  # fmt: skip


@pytest.mark.parametrize("record", ["trade", "quote", "reference_data"])
def test_second_versions_read_what_the_first_wrote(record):
    """More digits and a nullable field with a default; the other way round digits would be lost."""
    first, second = parse(schemas.newest(record)), parse(evolved(record))
    assert incompatibility(first, first) is None
    assert incompatibility(first, second) is None
    assert (incompatibility(second, first) is None) == (first == second)


def changed(**fields):
    """The trade's schema with these fields put in place of others, or behind them; None takes one out."""
    found = copy.deepcopy(schemas.newest("trade"))
    by_name = {f["name"]: f for f in found["fields"]} | {
        n: {"name": n} | (f or {}) for n, f in fields.items()
    }
    return parse(found | {"fields": [f for n, f in by_name.items() if fields.get(n, {}) is not None]})


def number(precision, scale):
    return {"type": {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}}


@pytest.mark.parametrize(
    ("newer", "reason"),
    [
        (
            changed(venue={"type": "string"}),
            "field venue: records of before have none, and there is no default",
        ),
        (changed(venue={"type": ["null", "string"]}), "field venue: records of before have none"),
        (changed(trade_id={"type": "string"}), "field trade_id: may be null in records of before"),
        (changed(sequence={"type": ["null", "string"]}), "field sequence: long"),
        (changed(price=number(17, 8)), "field price: decimal(18, 8) does not fit decimal(17, 8)"),
        (changed(price=number(18, 9)), "field price: decimal(18, 8) does not fit decimal(18, 9)"),
        (
            changed(side={"type": {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL"]}}),
            "SELL_SHORT, UNKNOWN",
        ),
        (changed(price=number(24, 8)), None),
        (changed(currency=None), None),
        (changed(trade_id=None), None),
    ],
)
def test_reasons_name_the_field(newer, reason):
    """Nothing that was written may become unreadable; what is merely left out may."""
    found = incompatibility(FIRST, newer)
    assert reason == found if reason is None else reason in str(found)


UNITS = st.one_of(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(-(10**24) + 1, 10**24 - 1))
MESSAGES = st.lists(
    st.tuples(st.sampled_from((1, 2)), UNITS, UNITS, st.sampled_from((None, "", "XASX", "venue é"))),
    max_size=60,
)


@settings(deadline=None)
@given(MESSAGES)
def test_batch_of_both_versions_equals_records_read_one_by_one(messages):
    """In order, exact, null where a record had no such field; the first version carries no more than its digits."""
    messages = [
        (1 if v == 1 and abs(p) < 10**18 and abs(q) < 10**18 else 2, p, q, w) for v, p, q, w in messages
    ]
    expected = [
        (price, quantity, venue if version == 2 else None) for version, price, quantity, venue in messages
    ]
    bodies = [_message(*message) for message in messages]
    ends = np.cumsum([len(body) for body in bodies], dtype=np.int64) if bodies else np.zeros(0, np.int64)
    starts = ends - np.array([len(body) for body in bodies], np.int64)
    data = pa.py_buffer(b"".join(bodies))
    found = decode(data, starts, ends, {1: FIRST, 2: SECOND}, SECOND)
    assert [] == found.failures
    assert arrow_schema(SECOND) == found.batch.schema
    rows = found.batch.select(["price", "quantity", "venue"]).to_pylist()
    assert expected == [(_units(r["price"]), _units(r["quantity"]), r["venue"]) for r in rows]


def _units(value):
    return int(value.scaleb(8, _CONTEXT))


def _message(version, price, quantity, venue):
    schema = FIRST if version == 1 else SECOND
    values = SHELL | {"price": _decimal(price), "quantity": _decimal(quantity), "venue": venue}
    row = {field.name: values[field.name] for field in schema.fields}
    batch = pa.RecordBatch.from_pylist([row], schema=arrow_schema(schema))
    return encode(batch, schema, version).data.tobytes()


def _decimal(units):
    return Decimal(units).scaleb(-8, _CONTEXT)
