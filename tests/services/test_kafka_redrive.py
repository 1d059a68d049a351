"""`k2 redrive` on a real Kafka and registry: a dead letter that became readable is in the lake once."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

import schemas
from k2app.avro.encode import encode
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.stream.registry import open_registry
from tests.pipeline.homes import counting, trades
from tests.pipeline.operate.commands import k2, k2_json
from tests.services import servers
from tests.services.kafka_homes import MarketHome, new_exchange

SCHEMA = schemas.newest(DataType.TRADES.record)

SUBJECT = "market.equities.trades-value"


@pytest.fixture
def apart(tmp_path, kafka_url):
    """A home with a registry of its own, so that the next id is known."""
    with servers.registry(tmp_path / "registry") as url:
        made = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=kafka_url, K2_REGISTRY_URL=url)
        with closing(made):
            yield made


def value(home: MarketHome, number: int, schema_id: int | None = None) -> bytes:
    """A trade of S0 as it is on the log."""
    outlet, rows = home.outlet(), trades([("S0", number)])
    at = rows.column_names.index("exchange")
    rows = rows.set_column(at, "exchange", [[home.exchange]])
    return encode(rows, outlet.schema, schema_id or outlet.schema_id).data.tobytes()


def coming(home: MarketHome) -> int:
    """The id that the registry gives next."""
    probe = f"x{uuid.uuid4().hex[:10]}"
    return open_registry(home.settings, None).register(f"{probe}-value", SCHEMA | {"name": probe}) + 1


def states(home: MarketHome) -> dict[int, str]:
    rows = k2_json(home, "dead-letters", program="k2-query")["rows"]
    return {row["offset"]: row["state"] for row in rows}


def sequences(home: MarketHome) -> list[tuple[int, bool]]:
    """Number of every trade in the lake, and whether a load brought it."""
    return sorted((row["sequence"], row["load_id"] is not None) for row in home.rows(Name.TRADES))


def test_letters_that_became_readable_are_sent_and_stored_once(apart):
    """A schema that was registered too late: the redrive sends its records, another sends nothing."""
    home = apart
    home.publish(trades(counting(1, 4)))
    (partition,) = [p for p, end in home.ends().items() if end]
    late = coming(home)
    home.publish_raw([(b"S0", value(home, n, late)) for n in (5, 6)], partition=partition)
    home.publish_raw([(b"S0", b"\0\1")], partition=partition)
    home.publish(trades([("S0", 7)]))
    home.drain()
    assert {4: "open", 5: "open", 6: "open"} == states(home)
    k2(home, "redrive", "--topic", home.topic, status=1)
    assert late == open_registry(home.settings, None).register(SUBJECT, SCHEMA | {"doc": "Told later."})
    done = k2_json(home, "redrive", "--topic", home.topic)
    assert (1, 2, 1) == (len(done["sent"]), len(done["sent"][0]["letters"]), len(done["refused"]))
    ends = home.ends()
    assert 8 + 2 == sum(ends.values())
    sent = [f"{home.topic}/{partition}/{offset}" for offset in (4, 5)]
    again = k2_json(home, "redrive", *sent)
    assert ([], 2) == (again["sent"], len(again["sent_before"]))
    home.drain()
    assert again == k2_json(home, "redrive", *sent)
    home.drain()
    assert ends == home.ends()
    assert [(1, False), (2, False), (3, False), (4, False), (5, True), (6, True), (7, False)] == sequences(
        home
    )
    assert {4: "redriven", 5: "redriven", 6: "open"} == states(home)


def test_a_corrected_letter_goes_to_the_partition_of_its_key(home):
    """And is withdrawn with its load."""
    home.publish(trades(counting(1, 3)))
    (partition,) = [p for p, end in home.ends().items() if end]
    other = 1 - partition
    home.publish_raw([(b"S0", b"not avro")], partition=other)
    home.drain()
    (home.path / "mended.avro").write_bytes(value(home, 4))
    letter = f"{home.topic}/{other}/0"
    load_id = k2_json(home, "redrive", letter, "--file", "mended.avro")["sent"][0]["load_id"]
    assert {partition: 4, other: 1} == home.ends()
    home.drain()
    assert [(1, False), (2, False), (3, False), (4, True)] == sequences(home)
    k2(home, "retract", load_id)
    assert "open" == states(home)[0]
    assert 3 == len(k2_json(home, "trades", program="k2-query")["rows"])
