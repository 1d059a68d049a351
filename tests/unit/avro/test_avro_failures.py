"""Messages that cannot be read: each fails with its reason, between neighbours that can."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import avro_model as model
import numpy as np
import pytest

from k2app.avro import decode as decode_module
from k2app.avro.decode import Decoded, Failure, decode, messages_from_list
from k2app.avro.schema import arrow_schema, parse

MAX_LONG = b"\xff" * 9 + b"\x01"


def of(kind: Any) -> Any:
    """A record with one field."""
    return {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}


def read(messages: list[bytes], raw: Any) -> Decoded:
    """Decode with one schema, number 1."""
    schema = parse(raw)
    return decode(*messages_from_list(messages), {1: schema}, schema)


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
WIDE = {"type": "fixed", "name": "F", "size": 20, "logicalType": "decimal", "precision": 38}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
STRINGS = {"type": "array", "items": "string"}
LONGS = {"type": "array", "items": "long"}
MAP = {"type": "map", "values": "long"}


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("string", b"\x06ab", "truncated at field f"),
        ("string", b"", "truncated at field f"),
        ("string", b"\x04\xc3\x28", "invalid UTF-8 in field f"),
        ("string", b"\x06\xed\xa0\x80", "invalid UTF-8 in field f"),
        ("string", b"\x01", "negative length in field f"),
        ("string", MAX_LONG, "negative length in field f"),
        ("string", b"\xfe" + b"\xff" * 8 + b"\x01", "truncated at field f"),
        ("string", b"\x02ab", "trailing bytes"),
        ("long", b"\xff" * 9 + b"\x02", "varint beyond 64 bits in field f"),
        ("long", b"\x80" * 10 + b"\x00", "varint beyond 64 bits in field f"),
        ("long", b"\x80" * 9, "truncated at field f"),
        ("long", b"\x80", "truncated at field f"),
        ("int", b"\x80\x80\x80\x80\x10", "int beyond 32 bits in field f"),
        ("double", b"\0" * 7, "truncated at field f"),
        ("float", b"\0" * 3, "truncated at field f"),
        ("boolean", b"\x02", "boolean neither 0 nor 1 in field f"),
        ("boolean", b"", "truncated at field f"),
        ({"type": "fixed", "name": "F", "size": 3}, b"ab", "truncated at field f"),
        (ENUM, b"\x04", "enum index out of range in field f"),
        (ENUM, b"\x01", "enum index out of range in field f"),
        (["null", "int"], b"\x04", "union branch out of range in field f"),
        (["null", "int"], b"\x01", "union branch out of range in field f"),
        (DECIMAL, b"\x04\x27\x10", "decimal beyond its precision in field f"),
        (DECIMAL, b"\x04\xd8\xf0", "decimal beyond its precision in field f"),
        (DECIMAL, b"\x00", "decimal not of 1 to 16 bytes in field f"),
        (DECIMAL, b"\x22" + b"\0" * 17, "decimal not of 1 to 16 bytes in field f"),
        (DECIMAL, b"\x20\x01" + b"\0" * 15, "decimal beyond its precision in field f"),
        (WIDE, b"\x00" * 4 + b"\x7f" * 16, "decimal beyond its precision in field f"),
        (WIDE, b"\x01" + b"\x00" * 19, "decimal beyond its precision in field f"),
        (WIDE, b"\x00" * 4 + b"\xff" * 16, "decimal beyond its precision in field f"),
        (STRINGS, b"\x02\x02a", "truncated at field f"),
        (STRINGS, b"\x02\x06a\x00", "truncated at field f[]"),
        (STRINGS, b"\x02\x02\xff\x00", "invalid UTF-8 in field f[]"),
        (STRINGS, b"\xfe" + b"\xff" * 8 + b"\x01", "truncated at field f"),
        (STRINGS, MAX_LONG, "truncated at field f"),
        (STRINGS, b"\x01\x02\x02a\x00", "block size is wrong in field f"),
        (STRINGS, b"\x01\x01\x02a\x00", "negative length in field f"),
        (LONGS, b"\xfe" + b"\xff" * 8 + b"\x01", "truncated at field f"),
        (
            {"type": "array", "items": "null"},
            b"\xfe" + b"\xff" * 8 + b"\x01\x00",
            "too many nulls in field f",
        ),
        ({"type": "array", "items": "null"}, b"\x80\x80\x08" * 2 + b"\x00", "too many nulls in field f"),
        (MAP, b"\x02\x02\xff\x02\x00", "invalid UTF-8 in field f (key)"),
        (MAP, b"\x04\x02a\x02\x02a\x04\x00", "key stands twice in field f"),
    ],
)
def test_a_bad_record_fails_with_its_reason(kind: Any, body: bytes, reason: str) -> None:
    """Only the bad one fails, in whatever company; in an array or a map too."""
    zero = model.framed(GOOD.get(str(kind), b"\0"))
    bad = model.framed(body)
    answer = read([zero, bad, zero, zero, bad], of(kind))
    assert [Failure(1, reason), Failure(4, reason)] == answer.failures
    assert [0, 2, 3] == answer.rows.tolist()
    assert read([zero] * 3, of(kind)).batch.equals(answer.batch)


GOOD = {
    str(DECIMAL): b"\x02\x05",
    str(WIDE): b"\xff" * 20,
    "double": b"\1" * 8,
    "float": b"\1" * 4,
    str({"type": "fixed", "name": "F", "size": 3}): b"abc",
    "string": b"\x06abc",
    str(STRINGS): b"\x04\x02a\x02b\x00",
}
"""Bodies of good records, where a zero byte is none."""


def test_unframed_messages_fail() -> None:
    """Too short, another magic byte, a schema id nobody knows."""
    good = model.framed(b"\x02")
    messages = [b"", good, b"\0\0\0\0", b"\x01" + good[1:], model.framed(b"\x02", 2**32 - 1), good]
    answer = read(messages, of("long"))
    assert [
        Failure(0, "too short for a header of 5 bytes"),
        Failure(2, "too short for a header of 5 bytes"),
        Failure(3, "wrong magic byte, not 0"),
        Failure(4, "unknown schema id 4294967295"),
    ] == answer.failures
    assert [1, 5] == answer.rows.tolist()


def test_messages_longer_than_a_slice_can_hold_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on one message is checked before anything is copied."""
    monkeypatch.setattr(decode_module, "MAX_MESSAGE_BYTES", 8)
    answer = read([model.framed(b"\x02a"), model.framed(b"\x08aaaa")], of("string"))
    assert [Failure(1, "longer than 8 bytes")] == answer.failures


def test_no_messages_give_an_empty_batch() -> None:
    """Nothing in, the schema and no rows out; also when every message fails."""
    raw = of(ENUM)
    for messages in ([], [b""]):
        answer = read(messages, raw)
        assert arrow_schema(parse(raw)) == answer.batch.schema
        assert (0, 0, len(messages)) == (answer.batch.num_rows, len(answer.rows), len(answer.failures))


def test_a_message_outside_the_buffer_is_the_callers_fault() -> None:
    """Nothing is read beyond the data given."""
    schema = parse(of("long"))
    data, _, _ = messages_from_list([model.framed(b"\x02")])
    for start, end in ((0, 7), (-1, 6), (4, 3)):
        with pytest.raises(ValueError, match="outside the buffer"):
            decode(data, np.array([start]), np.array([end]), {1: schema}, schema)


def test_a_record_never_reads_into_the_next() -> None:
    """A string that would end in the next message is truncated, though the bytes are there."""
    answer = read([model.framed(b"\x0cab"), model.framed(b"\x06abc")], of("string"))
    assert [Failure(0, "truncated at field f")] == answer.failures
    assert ["abc"] == answer.batch.column("f").to_pylist()


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_slices_do_not_show(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the work is cut, by rows or by bytes, the answer is the same."""
    bodies = [model.fastavro_bytes(of("string"), {"f": "x" * (i % 50)}) for i in range(300)]
    messages = [model.framed(body[: len(body) - (i % 11 == 0)]) for i, body in enumerate(bodies)]
    whole = read(messages, of("string"))
    monkeypatch.setattr(decode_module, "SLICE_ROWS", rows)
    monkeypatch.setattr(decode_module, "SLICE_BYTES", 10 * rows)
    answer = read(messages, of("string"))
    assert whole.batch.equals(answer.batch)
    assert whole.failures == answer.failures
    assert list(range(0, 300, 11)) == [failure.index for failure in answer.failures]


def test_thousands_of_bad_records_are_found_in_time() -> None:
    """A batch of nothing but bad text takes seconds at most."""
    start = time.monotonic()
    answer = read([model.framed(b"\x04\xff\xff")] * 20_000, of("string"))
    assert len(answer.failures) == 20_000
    assert time.monotonic() - start < 10


def test_decimals_at_the_edges_of_words_are_exact() -> None:
    """Around every byte boundary up to 38 digits, in bytes (short or padded with sign) and in fixed."""
    edges = {s * (2 ** (8 * k - 1) + d) for k in range(1, 17) for d in (-1, 0, 1) for s in (1, -1)}
    top = 10**38 - 1
    numbers = sorted({n for n in edges if abs(n) <= top} | {0, top, -top, 10**18, -(10**18)})
    plain = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}
    expected = [Decimal(n).scaleb(-10, model.EXACT) for n in numbers]
    for spare in (0, 1, 16):
        sizes = [max(spare, (abs(n).bit_length() + 8) // 8) for n in numbers]
        octets = [n.to_bytes(size, "big", signed=True) for n, size in zip(numbers, sizes, strict=True)]
        messages = [model.framed(model.varint(len(body)) + body) for body in octets]
        assert expected == read(messages, of(plain)).batch.column("f").to_pylist()
    for size in (16, 17, 20):
        fixed = {**plain, "type": "fixed", "name": "F", "size": size}
        messages = [model.framed(n.to_bytes(size, "big", signed=True)) for n in numbers]
        assert expected == read(messages, of(fixed)).batch.column("f").to_pylist()
