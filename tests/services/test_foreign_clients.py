"""Clients that others wrote, on the same topics: confluent-kafka (librdkafka) and kcat."""

import json
import subprocess
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from faust.types import TP

from k2app.lake.tables import Name
from k2app.stream.log_records import records_from_pairs
from tests.pipeline.homes import WORKER_S, counting, trades
from tests.services.artifacts import tool
from tests.services.kafka_homes import MarketHome, read_all

EXECUTION = {
    "type": "record",
    "name": "Trade",
    "namespace": "acme.desk",
    "fields": [
        {"name": "sequence", "type": ["long", "null"]},
        {"name": "trade_id", "type": ["string", "null"]},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4},
        },
        {
            "name": "quantity",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8},
        },
        {"name": "desk", "type": "string"},
        {"name": "symbol", "type": "string"},
        {"name": "exchange", "type": "string"},
        {
            "name": "asset_class",
            "type": {
                "type": "enum",
                "name": "AssetClass",
                "symbols": ["equities", "crypto", "futures", "options"],
            },
        },
        {"name": "currency", "type": "string"},
        {
            "name": "side",
            "type": {
                "type": "enum",
                "name": "Side",
                "symbols": ["SELL", "BUY", "SELL_SHORT", "UNKNOWN"],
            },
        },
        {"name": "ingested_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
"""A schema of somebody else's: fields and enums in another order, unions the other way round, a smaller decimal, a
field of its own."""


@pytest.fixture
def client(registry_url):
    with SchemaRegistryClient({"url": registry_url}) as found:
        yield found


def bootstrap(home: MarketHome) -> str:
    return ",".join(home.cluster.servers)


def send(home: MarketHome, messages, **settings: str) -> None:
    """Send keys and values by librdkafka, under its own partitioner."""
    producer = Producer({"bootstrap.servers": bootstrap(home), "enable.idempotence": True, **settings})
    refused = []
    for key, value in messages:
        producer.produce(home.topic, value, key, on_delivery=lambda error, _: error and refused.append(error))
    assert 0 == producer.flush(WORKER_S)
    assert [] == refused


def execution(home: MarketHome, symbol: str, sequence: int | None, trade_id: str | None) -> dict:
    return {
        "symbol": symbol,
        "exchange": home.exchange,
        "asset_class": "equities",
        "timestamp": datetime(2026, 1, 5, 1, 2, 3, 456_000, tzinfo=UTC),
        "price": Decimal("-101.0001"),
        "quantity": Decimal("12345678.9"),
        "currency": "AUD",
        "side": "BUY",
        "trade_id": trade_id,
        "sequence": sequence,
        "ingested_at": datetime(2026, 1, 5, 1, 2, 4, 5, tzinfo=UTC),
        "desk": "tokyo",
    }


def serialized(client: SchemaRegistryClient, home: MarketHome, schema: dict, values) -> list[bytes]:
    """Values as AvroSerializer writes them, their schema registered by it under a subject of its own."""
    subject = f"desk-{uuid.uuid4().hex[:10]}"
    serializer = AvroSerializer(
        client, json.dumps(schema), conf={"subject.name.strategy": lambda *_: f"{subject}-value"}
    )
    context = SerializationContext(home.topic, MessageField.VALUE)
    return [serializer(value, context) for value in values]


def test_rows_of_another_serializer_are_ingested(home, client):
    """Its own schema, id, unions, enums, times, decimals and partitions: every value exact, sequences checked."""
    home.publish(trades(counting(1, 1)))
    symbols = [f"F{i}" for i in range(20)]
    rows = [execution(home, s, n, f"T{n}" if n else None) for n in (1, 2, None, 5) for s in symbols]
    values = serialized(client, home, EXECUTION, rows)
    send(home, [(row["symbol"].encode(), value) for row, value in zip(rows, values, strict=True)])
    home.drain()
    assert [] == [letter["reason"] for letter in home.rows(Name.DEAD_LETTERS)]
    found = [row for row in home.rows(Name.TRADES) if row["symbol"] != "S0"]
    assert {("first", 20), ("ok", 20), ("unsequenced", 20), ("gap", 20)} == {
        (flag, sum(row["sequence_flag"] == flag for row in found))
        for flag in {r["sequence_flag"] for r in found}
    }
    assert {0, 1} == {row["partition"] for row in found}
    for row in found:
        sent = execution(home, row["symbol"], row["sequence"], row["trade_id"])
        del sent["desk"]
        assert sent == {name: row[name] for name in sent}
        assert row["trade_id"] == (None if row["sequence"] is None else f"T{row['sequence']}")
        assert ([], None) == (row["conditions"], row["load_id"])


def test_rows_of_ours_are_read_by_another_deserializer(home, client):
    """confluent-kafka's consumer and AvroDeserializer see what was published, in order, under our schema."""
    sent = trades(counting(3, 40))
    home.publish(sent)
    deserializer = AvroDeserializer(client)
    context = SerializationContext(home.topic, MessageField.VALUE)
    settings = {
        "bootstrap.servers": bootstrap(home),
        "group.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    consumer.subscribe([home.topic])
    try:
        messages = []
        while len(messages) < 120:
            got = consumer.consume(120 - len(messages), WORKER_S)
            assert got, "no message within the deadline"
            messages += got
    finally:
        consumer.close()
    found = [deserializer(message.value(), context) for message in messages]
    assert [row["symbol"].encode() for row in found] == [message.key() for message in messages]
    expected = [row | {"exchange": home.exchange} for row in sent.to_pylist()]
    key = ("symbol", "sequence")
    assert sorted(expected, key=lambda row: [row[k] for k in key]) == sorted(
        found, key=lambda row: [row[k] for k in key]
    )
    by_partition = {p: [m.offset() for m in messages if m.partition() == p] for p in range(home.partitions)}
    assert all(list(range(len(offsets))) == offsets for offsets in by_partition.values())


def test_kcat_sees_keys_offsets_and_headers(home):
    """What librdkafka's command line prints of our topic: keys, offsets in order, headers of a record that has some."""
    home.publish(trades(counting(2, 5)))
    send_with_header(home)
    printed = kcat(home, "-C", "-e", "-f", "%p %o %k %h\\n")
    lines = [line.split(" ", 3) for line in printed.splitlines()]
    assert 11 == len(lines)
    for partition in range(home.partitions):
        offsets = [int(line[1]) for line in lines if int(line[0]) == partition]
        assert list(range(len(offsets))) == offsets
    assert {"S0": 6, "S1": 5} == {key: sum(line[2] == key for line in lines) for key in ("S0", "S1")}
    assert ["k2.letter=17"] == [line[3] for line in lines if line[3]]


def send_with_header(home: MarketHome) -> None:
    """Publish a record with a header, as `k2 redrive` does."""
    _, _, value = next(
        row for p in range(home.partitions) for row in read_all(home.cluster, TP(home.topic, p))
    )
    records = records_from_pairs(0, [(b"S0", value)])
    home.publisher.publish_records(home.topic, lambda _: [records], (("k2.letter", b"17"),))


def kcat(home: MarketHome, *arguments: str) -> str:
    command = [tool("kcat"), "-q", "-b", bootstrap(home), "-t", home.topic, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=WORKER_S).stdout


def nested() -> dict:
    """A schema with a record within the record."""
    desk = {"type": "record", "name": "Desk", "fields": [{"name": "id", "type": "int"}]}
    fields = [field | {"type": desk} if field["name"] == "desk" else field for field in EXECUTION["fields"]]
    return EXECUTION | {"fields": fields}


def test_what_cannot_be_read_is_a_dead_letter_and_hurts_nobody(home, client):
    """Exact bytes and a reason for each; rows before, between and after are all there."""
    row = execution(home, "G", 1, None)
    (good,) = serialized(client, home, EXECUTION, [row])
    (in_records,) = serialized(client, home, nested(), [row | {"desk": {"id": 7}}])
    bad = {
        "tombstone": None,
        "empty": b"",
        "unknown schema": b"\0" + (987_654_321).to_bytes(4, "big") + good[5:],
        "wrong magic byte": b"\1" + good[1:],
        "truncated": good[:-3],
        "too long": good + b"\0",
        "JSON": json.dumps({"symbol": "G", "price": "1.0"}).encode(),
        "header only": good[:5],
        "oversized": good[:5] + bytes(900_000),
        "record in record": in_records,
    }
    messages = []
    for number, value in enumerate(bad.values(), 1):
        (fine,) = serialized(client, home, EXECUTION, [execution(home, "G", number, None)])
        messages += [(b"G", fine), (b"G", value)]
    home.publish(trades(counting(1, 1)))
    send(home, messages)
    home.publish(trades(counting(1, 2)[1:]))
    home.drain()
    letters = home.rows(Name.DEAD_LETTERS)
    assert list(bad.values()) == [letter["value"] for letter in letters]
    assert [b"G"] * len(bad) == [letter["key"] for letter in letters]
    reasons = dict(zip(bad, (letter["reason"] for letter in letters), strict=True))
    for what, words in REASONS.items():
        assert words in reasons[what], reasons
    found = [(row["symbol"], row["sequence"], row["sequence_flag"]) for row in home.rows(Name.TRADES)]
    flags = ["first"] + ["ok"] * (len(bad) - 1)
    assert [("G", n, flag) for n, flag in enumerate(flags, 1)] == [one for one in found if one[0] == "G"]
    assert [("S0", 1, "first"), ("S0", 2, "ok")] == [one for one in found if one[0] == "S0"]


REASONS = {
    "tombstone": "null",
    "empty": "bytes",
    "unknown schema": "987654321",
    "wrong magic byte": "magic",
    "truncated": "",
    "too long": "",
    "JSON": "magic",
    "header only": "",
    "oversized": "",
    "record in record": "not supported inside a record",
}
"""A part of the reason of each."""
