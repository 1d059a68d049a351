"""`k2-query replay --to` into topics of a real Kafka, read back with a plain consumer."""

from __future__ import annotations

import asyncio
import io
import json
from collections import defaultdict
from contextlib import closing

import fastavro
import pyarrow as pa
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.stream.partitioner import partition_of
from k2app.stream.registry import open_registry
from tests.pipeline.homes import counting, trades
from tests.pipeline.operate.commands import k2
from tests.services.kafka_homes import MarketHome

SYMBOLS, EACH = 7, 150

ROWS = 2 * SYMBOLS * EACH
"""Rows of the market as queries show them: one trade is missing, one more is there twice and shown once."""

PATIENCE_S = 60.0


@pytest.fixture
def market(home):
    """Trades and quotes in the lake; one trade twice, and one number missing."""
    numbers = [one for one in counting(SYMBOLS, EACH) if one != ("S3", 40)]
    home.publish(trades(numbers))
    for _ in range(2):
        home.publish(trades([("TWICE", 1)]))
    home.publish(quotes(counting(SYMBOLS, EACH)), DataType.QUOTES)
    home.drain()
    return home


def quotes(numbers: list[tuple[str, int]]) -> pa.Table:
    """Quotes of the given symbols and numbers, with the trades' times; no one offers."""
    rows = trades(numbers).drop_columns(["side", "trade_id"])
    names = {"price": "bid_price", "quantity": "bid_quantity"}
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    nothing = pa.nulls(len(rows), pa.decimal128(18, 8))
    return rows.append_column("ask_price", nothing).append_column("ask_quantity", nothing)


async def _consume(url: str, topic: str) -> list[ConsumerRecord]:
    # Without a group it reads every partition.
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=url.removeprefix("kafka://"), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends, found = await consumer.end_offsets(consumer.assignment()), []
        while [part for part, end in ends.items() if await consumer.position(part) < end]:
            got = await consumer.getmany(timeout_ms=1_000)
            found += [record for records in got.values() for record in records]
        return found
    finally:
        await consumer.stop()


def consumed(home: MarketHome, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic, those of a partition in order."""
    return asyncio.run(asyncio.wait_for(_consume(home.settings.log_url, topic), PATIENCE_S))


def decoded(home: MarketHome, records: list[ConsumerRecord]) -> list[dict]:
    """What the records say, by the schemas that the registry has under their ids."""
    registry, known, found = open_registry(home.settings, None), {}, []
    for record in records:
        number = int.from_bytes(record.value[1:5], "big")
        if number not in known:
            known[number] = fastavro.parse_schema(json.loads(registry.schema(number)))
        assert 0 == record.value[0]
        found.append(fastavro.schemaless_reader(io.BytesIO(record.value[5:]), known[number]))
    return found


def printed(home: MarketHome) -> list[dict]:
    """Rows of the replay as standard output has them."""
    lines = map(json.loads, k2(home, "replay", program="k2-query").splitlines())
    return [line for line in lines if "record" in line]


def named(row: dict) -> tuple:
    """What a record and its row have in common, and no other row has."""
    return "bid_price" in row, row["symbol"], row["sequence"]


def source(home: MarketHome) -> dict:
    """Ends of the topics that the lake ingests, and how far it got."""
    topics = [home.topic, home.topic.replace("trades", "quotes")]
    return {topic: home.ends(topic) for topic in topics} | {"floors": home.floors()}


def test_a_topic_gets_every_record_once_under_its_key(market):
    """In the replay's order, with the headers that tell a copy; the topics it came from stay as they are."""
    before, topic = source(market), f"replay.{market.exchange}"
    k2(market, "replay", "--to", topic, program="k2-query")
    records, rows = consumed(market, topic), printed(market)
    values = decoded(market, records)
    assert ROWS == len(rows) == len(records)
    assert [named(row) for row in rows] == [named(value) for value in values]
    assert [value["symbol"].encode() for value in values] == [record.key for record in records]
    assert {0} == {record.partition for record in records}
    assert 1 == len({record.headers for record in records})
    headers = dict(records[0].headers)
    assert {"k2-replay-id", "k2-replay-snapshots"} == headers.keys()
    snapshots = {name: market.table(name).metadata.current_snapshot_id for name in (Name.TRADES, Name.QUOTES)}
    told = dict(one.split(":") for one in headers["k2-replay-snapshots"].decode().split(","))
    assert {str(name): str(number) for name, number in snapshots.items()}.items() <= told.items()
    assert before == source(market)
    market.drain()
    assert before == source(market)


def test_a_topic_of_several_partitions_keeps_the_order_of_every_key(market):
    """Each key where Kafka's Java client would put it; paced records are there too, each replay has its own id."""
    topic = f"replay.{market.exchange}"
    market.opened.create_topic(topic, 3)
    for more in ((), ("--rate", "100000")):
        k2(market, "replay", "--to", topic, *more, program="k2-query")
    records = consumed(market, topic)
    assert all(partition_of(record.key, 3) == record.partition for record in records)
    by_replay = defaultdict(list)
    for record in records:
        by_replay[dict(record.headers)["k2-replay-id"]].append(record)
    assert 2 == len(by_replay)
    rows = printed(market)
    for copies in by_replay.values():
        assert ordered_by_key(rows) == ordered_by_key(decoded(market, copies))


def ordered_by_key(rows: list[dict]) -> dict[str, list[tuple]]:
    found = defaultdict(list)
    for row in rows:
        found[row["symbol"]].append(named(row))
    return found


def test_a_topic_that_the_lake_ingests_takes_no_replay(market):
    """Neither the one that the rows came from nor another of the market."""
    before = source(market)
    for topic in (market.topic, "market.crypto.trades.elsewhere"):
        said = k2(market, "replay", "--to", topic, program="k2-query", status=2)
        assert "come back as new rows" in said
    assert before == source(market)


def test_a_replay_goes_on_where_it_ended(market):
    """The token of a replay printed before leads to the rest of it, in a topic too."""
    topic = f"replay.{market.exchange}"
    start = json.loads(k2(market, "replay", program="k2-query").splitlines()[0])["cursor"]
    market.publish(trades([("S0", EACH + 1)]))
    market.drain()
    with closing(market):
        k2(market, "replay", "--to", topic, "--cursor", start, program="k2-query")
    # Of the snapshots that the token names, not of those since.
    assert ROWS == len(consumed(market, topic))
