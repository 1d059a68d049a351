"""Reasons of dead letters as a few kinds."""

import pyarrow as pa
import pytest

from k2app.ingest.failure_kinds import KINDS, OTHER, kind_of, kinds

REASONS = {
    "too short for a header of 5 bytes": "framing",
    "longer than 16777216 bytes": "framing",
    "wrong magic byte, not 0": "framing",
    "unknown schema id 7": "unknown_schema",
    "schema id 7 does not fit the reader: field price": "schema",
    "schema id 7 cannot be read: a union of three": "schema",
    "truncated at field price": "truncated",
    "trailing bytes": "truncated",
    "block size is wrong in field conditions": "truncated",
    "int beyond 32 bits in field x": "bounds",
    "varint beyond 64 bits in field x": "bounds",
    "timestamp -5 µs is not between the years 1900 and 2200": "bounds",
    "decimal not of 1 to 8 bytes in field price": "bounds",
    "too many nulls in field conditions": "bounds",
    "enum index out of range in field side": "type",
    "union branch out of range in field trade_id": "type",
    "boolean neither 0 nor 1 in field x": "type",
    "negative length in field symbol": "type",
    "null in field symbol, which the reader must have": "type",
    "invalid UTF-8 in field symbol": "type",
    "unknown symbol in field side": "type",
    "key stands twice in field attributes": "type",
    "exchange is 'binance' on topic market.equities.trades.asx": "topic",
    "asset_class is 'crypto' on topic market.equities.trades.asx": "topic",
    "null value (tombstone)": "tombstone",
    "something new": OTHER,
}


@pytest.mark.parametrize(("reason", "kind"), REASONS.items())
def test_every_reason_has_a_kind(reason, kind):
    """Whatever the field or number in it."""
    assert kind == kind_of(reason)


def test_kinds_are_few():
    """They are labels of a metric."""
    assert {kind for kind, _ in KINDS} | {OTHER} == set(REASONS.values())


def test_dead_letters_are_counted_by_kind():
    """All of them, once."""
    letters = pa.table({"reason": ["trailing bytes", "truncated at field a", "unknown schema id 3"]})
    assert {"truncated": 2, "unknown_schema": 1} == kinds(letters)
    assert {} == kinds(letters.slice(0, 0))
