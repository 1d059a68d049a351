"""A replay into a topic: the records as they were on their own topics, in the replay's order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

import schemas
from k2app.avro.build import default
from k2app.avro.encode import encode
from k2app.avro.schema import Schema, parse
from k2app.errors import OperatorError, RequestError
from k2app.market.topics import PREFIX, DataType, subject
from k2app.query.reading.ordered import Piece
from k2app.query.replay.replay import Replay
from k2app.query.replay.request import ReplayRequest
from k2app.stream.log_records import Records
from k2app.stream.partitioner import partitions_of
from k2app.stream.publisher import Headers, Publisher, cut
from k2app.stream.registry import Registry

PARTITIONS = 1
"""Of a topic that is made for a replay: in one partition the order of all rows is kept."""


def check_target(topic: str, asked: ReplayRequest) -> None:
    """Check that a replay may go into a topic.

    Raises
    ------
    OperatorError
        The lake ingests topics of this name: what was replayed would be there twice.
    RequestError
        Columns were chosen: a record has all of its fields.
    """
    if topic.startswith(f"{PREFIX}."):
        raise OperatorError(
            f"topic {topic} may be one that the lake ingests, and a replay would come back as new rows: "
            f"take a name that does not begin with {PREFIX}., such as replay.{topic.removeprefix(f'{PREFIX}.')}"
        )
    if asked.columns:
        raise RequestError("columns", "takes no topic beside it: a record has all of its fields")


def replay_headers(replay: Replay, replay_id: str) -> Headers:
    """What is said of every record that is replayed."""
    said = ",".join(f"{t}:{'none' if n is None else n}" for t, n in replay.found.ids.items())
    return (("k2-replay-id", replay_id.encode()), ("k2-replay-snapshots", said.encode()))


@dataclass(frozen=True)
class TopicWriter:
    """Publishes rows of a replay.

    Parameters
    ----------
    topic
        Where to.
    registry
        Gives the ids of the schemas, under the subjects of the records' own topics.
    headers
        Of every record, where the log keeps any.
    """

    replay: Replay
    topic: str
    publisher: Publisher
    registry: Registry
    headers: Headers
    _ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def publish(self, piece: Piece) -> None:
        """Publish rows; those of a key stay in order, and all of them where the topic has one partition.

        Raises
        ------
        K2Error
            As of `Publisher.publish`.
        """
        encoded = [self._encoded(n, rows) for n, rows in enumerate(piece.tables) if rows.num_rows]
        places = pa.array(piece.places)
        keys = pa.concat_arrays([keys for keys, _ in encoded]).take(places)
        values = pa.concat_arrays([values for _, values in encoded]).take(places)
        self.publisher.publish_records(self.topic, lambda n: _dealt(keys, values, n), self.headers)

    def _encoded(self, number: int, rows: pa.Table) -> tuple[pa.Array, pa.Array]:
        """Keys and values of a table's rows."""
        data_type = DataType(self.replay.request.tables[number])
        schema = parse(schemas.newest(data_type.record))
        fields = _fields(rows, schema).combine_chunks()
        written = encode(fields, schema, self._schema_id(rows, data_type))
        buffers = [None, pa.py_buffer(written.offsets), pa.py_buffer(written.data)]
        values = pa.Array.from_buffers(pa.large_binary(), rows.num_rows, buffers)
        return rows["symbol"].cast(pa.large_string()).combine_chunks(), values

    def _schema_id(self, rows: pa.Table, data_type: DataType) -> int:
        classes = rows["asset_class"].cast(pa.string()).unique().to_pylist()
        ids = {self._registered(asset_class, data_type) for asset_class in classes}
        if len(ids) > 1:
            raise OperatorError(
                f"the registry has several ids of one schema for {data_type} of {', '.join(classes)}: "
                "replay one asset class at a time, with exchange"
            )
        return ids.pop()

    def _registered(self, asset_class: str, data_type: DataType) -> int:
        key = (asset_class, data_type)
        if key not in self._ids:
            self._ids[key] = self.registry.register(
                subject(asset_class, data_type), schemas.newest(data_type.record)
            )
        return self._ids[key]


def _fields(rows: pa.Table, schema: Schema) -> pa.Table:
    """The record's columns; a field that came after the snapshot has its default."""
    return pa.table(
        {
            one.name: rows[one.name] if one.name in rows.column_names else default(one, rows.num_rows)
            for one in schema.fields
        }
    )


def _dealt(keys: pa.Array, values: pa.Array, partitions: int) -> list[Records]:
    where = partitions_of(keys.cast(pa.string()), partitions)
    order = np.argsort(where, kind="stable")
    dealt = values.take(pa.array(order))
    offsets = np.frombuffer(dealt.buffers()[1], np.int64)[: len(dealt) + 1]
    texts = pa.chunked_array([keys.take(pa.array(order))])
    return cut(texts, dealt.buffers()[2], offsets, where[order], partitions)
