"""Record batches as the log would hand them over, made of trades, quotes or raw bytes."""

from itertools import pairwise

import numpy as np

import schemas
from k2app.avro.encode import encode
from k2app.avro.schema import parse
from k2app.ingest.rows import Source
from k2app.market import exchanges
from k2app.market.topics import AssetClass, DataType, Topic
from k2app.stream.log_records import _joined, _lengths, _one_buffer, _starts
from k2app.stream.record_batch import RecordBatch

LOG = "0f5b2c1e00004000800000000000aaaa"
SCHEMA_ID = 1
LOG_TIME_US = 1_767_571_200_000_000


def source(data_type=DataType.TRADES, exchange="asx"):
    """Source of a topic of one of the exchanges that ship with the program."""
    found = exchanges.load()[exchange]
    topic = Topic(AssetClass(found.asset_class), data_type, exchange)
    return Source(topic, found, reader(data_type), 1_000)


def reader(data_type=DataType.TRADES):
    return parse(schemas.newest(data_type.record))


WRITERS = {SCHEMA_ID: reader()}


def messages(rows, data_type=DataType.TRADES, schema_id=SCHEMA_ID):
    """Values of the messages of these rows."""
    encoded = encode(rows, reader(data_type), schema_id)
    data, bounds = encoded.data.tobytes(), encoded.offsets.tolist()
    return [data[a:b] for a, b in pairwise(bounds)]


def batch_of(values, *, of=None, first=0, offsets=None):
    """Batch of these values (None: a tombstone), at offsets from `first` on, or at the given ones."""
    n, name = len(values), (of or source()).topic.name
    places = np.arange(first, first + n) if offsets is None else np.array(offsets, np.int64)
    lengths, keys = _lengths(values), [b"key-%d" % o for o in places]
    return RecordBatch(
        LOG,
        name,
        0,
        places,
        LOG_TIME_US + places,
        _one_buffer([_joined(values)]),
        _starts(lengths),
        lengths,
        _one_buffer([_joined(keys)]),
        _starts(_lengths(keys)),
        _lengths(keys),
    )
