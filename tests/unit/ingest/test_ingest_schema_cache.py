import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from k2app.avro.decode import messages_from_list
from k2app.errors import TransientError
from k2app.ingest.schema_cache import SchemaCache, distinct_ids

TEXT = json.dumps(schemas.newest("trade"))
REFUSED = '{"type": "record", "name": "R", "fields": [{"name": "f", "type": ["int", "string"]}]}'


class Registry:
    """A registry of the given texts that counts what it was asked."""

    def __init__(self, **texts):
        self.texts = {int(k.removeprefix("id")): v for k, v in texts.items()}
        self.asked = []

    def schema(self, schema_id):
        self.asked.append(schema_id)
        found = self.texts.get(schema_id)
        if isinstance(found, Exception):
            raise found
        return found


def framed(*ids):
    data, starts, ends = messages_from_list([b"\0" + i.to_bytes(4, "big") + b"body" for i in ids])
    return data, starts, ends - starts


def test_schema_is_asked_for_once():
    """An id never changes its schema: however many batches name it, the registry hears of it once."""
    registry = Registry(id1=TEXT)
    cache = SchemaCache(registry)
    assert {1} == set(cache.writers(*framed(1, 1)))
    assert {1} == set(cache.writers(*framed(1)))
    assert [1] == registry.asked


def test_unknown_id_is_asked_for_again():
    """A schema that is registered after its first message is found by the next batch."""
    registry = Registry()
    cache = SchemaCache(registry)
    assert {} == cache.writers(*framed(7))
    registry.texts[7] = TEXT
    assert {7} == set(cache.writers(*framed(7)))
    assert [7, 7] == registry.asked


def test_refused_schema_has_a_reason_and_is_not_asked_for_again():
    """A registered schema outside the subset is left out, and its messages learn why."""
    registry = Registry(id3=REFUSED)
    cache = SchemaCache(registry)
    assert {} == cache.writers(*framed(3))
    assert {} == cache.writers(*framed(3))
    assert [3] == registry.asked
    assert cache.refusals()[3].startswith("schema id 3 cannot be read: ")


def test_unreachable_registry_is_not_a_verdict():
    """Nothing is known about the messages: the error goes up, and the id is asked for again."""
    registry = Registry(id1=TransientError("away"))
    cache = SchemaCache(registry)
    with pytest.raises(TransientError, match="away"):
        cache.writers(*framed(1))
    registry.texts[1] = TEXT
    assert {1} == set(cache.writers(*framed(1)))


@given(
    st.lists(st.none() | st.binary(max_size=9) | st.integers(0, 3).map(lambda i: b"\0\0\0\0" + bytes([i])))
)
def test_ids_of_framed_messages(values):
    """Short messages, messages without the magic byte and nulls name no schema."""
    lengths = np.array([-1 if v is None else len(v) for v in values], np.int64)
    starts = np.concatenate(([0], np.cumsum(np.maximum(lengths, 0))[:-1])) if len(values) else lengths
    data = pa.py_buffer(b"".join(v or b"" for v in values))
    expected = {int.from_bytes(v[1:5], "big") for v in values if v is not None and len(v) >= 5 and v[0] == 0}
    assert sorted(expected) == distinct_ids(data, starts.astype(np.int64), lengths)
