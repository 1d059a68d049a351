"""Property tests: the columnar codec against fastavro and a strict model, on random schemas and values."""

from __future__ import annotations

from typing import Any

import avro_model as model
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k2app.avro.decode import Decoded, decode, messages_from_list
from k2app.avro.encode import encode
from k2app.avro.schema import arrow_schema, parse

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def decoded(messages: list[bytes], *raws: Any) -> Decoded:
    """Decode; schema ids count from 1, the first is the reader too."""
    schemas = {i: parse(raw) for i, raw in enumerate(raws, 1)}
    answer = decode(*messages_from_list(messages), schemas, schemas[1])
    answer.batch.validate(full=True)
    assert arrow_schema(schemas[1]).equals(answer.batch.schema)
    assert sorted([*answer.rows.tolist(), *(f.index for f in answer.failures)]) == list(range(len(messages)))
    return answer


def outcome(raw: Any, body: bytes) -> Any:
    """The strict model's value or None, checked against fastavro wherever fastavro is as strict."""
    try:
        value = model.strict_value(raw, body)
    except model.Bad as bad:
        if str(bad) not in model.LAX:
            with pytest.raises(model.Bad):
                model.fastavro_value(raw, body)
        return None
    assert model.comparable(value) == model.comparable(model.fastavro_value(raw, body))
    return model.comparable(value)


def check(messages: list[bytes], raw: Any) -> None:
    """Every message is read as the model reads it, or fails where the model fails."""
    expected = [outcome(raw, message[5:]) for message in messages]
    answer = decoded(messages, raw)
    assert [row for row in expected if row is not None] == model.rows_of(answer.batch)
    assert [i for i, row in enumerate(expected) if row is None] == [f.index for f in answer.failures]


@st.composite
def written(draw: st.DrawFn, most: int = 6) -> tuple[Any, list[Any], list[bytes]]:
    """A schema, values, and their bodies in random block layouts."""
    raw = draw(model.records())
    rows = draw(st.lists(model.values(raw), min_size=1, max_size=most))
    cuts = st.integers(-3, 3).filter(bool)
    return raw, rows, [model.blocks_bytes(raw, row, lambda: draw(cuts)) for row in rows]


@quick
@given(written())
def test_any_value_in_any_block_layout_is_read_as_fastavro_reads_it(case: Any) -> None:
    """Values, order and nullness are fastavro's, whatever the blocks."""
    raw, rows, bodies = case
    answer = decoded([model.framed(body) for body in bodies], raw)
    assert [] == answer.failures
    expected = [model.comparable(model.fastavro_value(raw, body)) for body in bodies]
    assert [model.comparable(row) for row in rows] == expected
    assert expected == model.rows_of(answer.batch)


@quick
@given(written())
def test_a_batch_is_written_byte_for_byte_as_fastavro_writes_it(case: Any) -> None:
    """Decoding what fastavro wrote and encoding it again gives the same messages."""
    raw, rows, _ = case
    messages = [model.framed(model.fastavro_bytes(raw, row), 258) for row in rows]
    schema = parse(raw)
    batch = decode(*messages_from_list(messages), {258: schema}, schema).batch
    encoded = encode(batch, schema, 258)
    assert b"".join(messages) == encoded.data.tobytes()
    ends = [0]
    for message in messages:
        ends.append(ends[-1] + len(message))
    assert ends == encoded.offsets.tolist()


@quick
@given(written(most=3), st.data())
def test_a_record_cut_anywhere_fails_alone(case: Any, data: st.DataObject) -> None:
    """Every truncation of a record fails, or is a shorter valid record; its neighbours stay as they were."""
    raw, _, bodies = case
    victim = data.draw(st.integers(0, len(bodies) - 1))
    for size in range(len(bodies[victim])):
        cut = [body[:size] if i == victim else body for i, body in enumerate(bodies)]
        check([model.framed(body) for body in cut], raw)


@quick
@given(written(), st.data())
def test_flipped_bits_fail_or_change_only_their_record(case: Any, data: st.DataObject) -> None:
    """With bits flipped in any records, each is read as alone, or fails as alone."""
    raw, _, bodies = case
    broken = []
    for body in bodies:
        octets = bytearray(body)
        if octets:
            for bit in data.draw(st.lists(st.integers(0, 8 * len(octets) - 1), max_size=3)):
                octets[bit // 8] ^= 1 << bit % 8
        broken.append(model.framed(bytes(octets)))
    check(broken, raw)


@quick
@given(model.records(), st.lists(st.binary(max_size=30), max_size=6))
def test_arbitrary_bytes_are_read_as_the_model_reads_them(raw: Any, bodies: list[bytes]) -> None:
    """No bytes raise, hang or disturb others."""
    check([model.framed(body) for body in bodies], raw)


@quick
@given(written(), written(), st.data())
def test_several_schemas_in_one_batch_keep_the_order(one: Any, two: Any, data: st.DataObject) -> None:
    """Rows of two schema ids and of unknown ids come out in the order they came in."""
    raw, _, bodies = one
    other = {**raw, "fields": [*raw["fields"], {"name": "extra", "type": two[0]["fields"][0]["type"]}]}
    other = model_renamed(other)
    extra = two[0]["fields"][0]
    tails = [model.blocks_bytes(extra["type"], row[extra["name"]], lambda: 1) for row in two[1]]
    messages, expected, unknown = [], [], []
    for i, body in enumerate(bodies):
        which = data.draw(st.sampled_from([1, 2, 3]))
        tail = tails[i % len(tails)] if which == 2 else b""
        messages.append(model.framed(body + tail, which))
        if which == 3:
            unknown.append(i)
        else:
            expected.append(model.comparable(model.fastavro_value(raw, body)))
    answer = decoded(messages, raw, other)
    assert unknown == [failure.index for failure in answer.failures]
    assert expected == model.rows_of(answer.batch)


def model_renamed(raw: Any) -> Any:
    """The last field's named types get names of their own."""
    last = raw["fields"][-1]
    return {**raw, "fields": [*raw["fields"][:-1], {**last, "type": _renamed(last["type"])}]}


def _renamed(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_renamed(branch) for branch in kind]
    if not isinstance(kind, dict):
        return kind
    name = {"name": f"extra_{kind['name']}"} if "name" in kind else {}
    return {k: _renamed(v) if k in ("items", "values") else v for k, v in kind.items()} | name


def test_messages_anywhere_in_a_buffer_are_found() -> None:
    """Messages may lie apart, overlap and come in any order."""
    raw = {"type": "record", "name": "R", "fields": [{"name": "s", "type": "string"}]}
    schema = parse(raw)
    one, two = (model.framed(model.fastavro_bytes(raw, {"s": s})) for s in ("first", "second"))
    data = b"\xff" * 1000 + two + b"\xff" * 5000 + one + b"\xff" * 7
    places = {1000: len(two), 6000 + len(two): len(one)}
    starts = [6000 + len(two), 1000, 1000]
    ends = [start + places[start] for start in starts]
    answer = decode(pa.py_buffer(data), np.array(starts), np.array(ends), {1: schema}, schema)
    assert ["first", "second", "second"] == answer.batch.column("s").to_pylist()
    assert [] == answer.failures
