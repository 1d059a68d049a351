"""A real schema registry, by its Confluent-compatible interface; and the registry in a file that K2 brings."""

import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pyarrow as pa
import pytest

import schemas
from k2app.avro.schema import parse
from k2app.errors import OperatorError, TransientError
from k2app.lake.tables import Name
from k2app.settings import RegistrySettings, read_settings
from k2app.stream.publisher import Outlet
from k2app.stream.registry import HttpRegistry, open_registry
from tests.pipeline.homes import DAY_US, OPEN_US, counting, trades
from tests.schema_versions import evolved, with_versions
from tests.services import servers
from tests.services.kafka_homes import MarketHome, new_exchange

NEXT_FIELD = {"name": "note", "type": ["null", "string"], "default": None}


@pytest.fixture
def registry(registry_url):
    return HttpRegistry(RegistrySettings(url=registry_url))


@pytest.fixture
def subject():
    """A subject, and a schema of a name, that nobody has."""
    name = f"x{uuid.uuid4().hex[:10]}"
    return f"{name}-value", schemas.newest("trade") | {"name": name}


def test_same_schema_keeps_its_id(registry, subject):
    """Registering again gives the same id; its text comes back."""
    name, schema = subject
    first = registry.register(name, schema)
    assert first == registry.register(name, schema)
    assert f'"{schema["name"]}"' in registry.schema(first)


def test_compatible_change_gets_an_id_of_its_own(registry, subject):
    """A new field with a default can be read by what was there, and is taken."""
    name, schema = subject
    first = registry.register(name, schema)
    second = registry.register(name, schema | {"fields": [*schema["fields"], NEXT_FIELD]})
    assert first != second
    assert '"note"' in registry.schema(second)
    assert '"note"' not in registry.schema(first)


def test_incompatible_change_is_refused(registry, subject):
    """A new field without a default could not be read from what is stored: the registry's reason is passed on."""
    name, schema = subject
    registry.register(name, schema)
    added = {"name": "note", "type": "string"}
    with pytest.raises(OperatorError, match=f"refuses subject {name}.*note"):
        registry.register(name, schema | {"fields": [*schema["fields"], added]})


def test_workers_that_start_together_get_one_id(registry_url, subject):
    """A server lets one of them make the subject; the others find it."""
    name, schema = subject
    together = threading.Barrier(8)

    def register(_: int) -> int:
        mine = HttpRegistry(RegistrySettings(url=registry_url))
        together.wait()
        return mine.register(name, schema)

    with ThreadPoolExecutor(8) as threads:
        assert 1 == len(set(threads.map(register, range(8))))


def test_unknown_id_is_none(registry):
    """An id that no schema has is an answer, not a failure."""
    assert registry.schema(987_654_321) is None


def test_registry_that_does_not_answer_is_transient():
    """Nothing is known about a message then: it is no dead letter."""
    gone = HttpRegistry(RegistrySettings(url=f"http://127.0.0.1:{servers.free_port()}"))
    with pytest.raises(TransientError, match="cannot be reached"):
        gone.schema(1)
    with pytest.raises(TransientError, match="cannot be reached"):
        gone.register("trades-value", schemas.newest("trade"))


def test_kafka_needs_a_registry_of_its_own(tmp_path, kafka_url):
    """There is no file beside Kafka to hold schemas; the error says what to set."""
    with pytest.raises(OperatorError, match="K2_REGISTRY_URL is not set"):
        open_registry(read_settings(home=tmp_path, log={"url": kafka_url}), None)


def test_registry_in_a_file_serves_kafka_on_one_machine(tmp_path, kafka_url):
    """Kafka without a registry server: schemas live in a SQLite file that loader and worker share."""
    home = MarketHome(
        tmp_path / "home",
        new_exchange(),
        K2_LOG_URL=kafka_url,
        K2_REGISTRY_URL=f"sqlite:///{tmp_path}/schemas.db",
    )
    home.publish(trades(counting(2, 20)))
    home.drain()
    home.close()
    assert 40 == len(home.rows(Name.TRADES))


def test_second_version_is_taken_and_the_first_keeps_its_id(registry, subject):
    """Wider decimals and a nullable field read what was there; a process of before still finds its own schema."""
    name, first = subject
    second = evolved("trade") | {"name": first["name"]}
    ids = [registry.register(name, schema) for schema in (first, second, first, second)]
    assert (ids[0], ids[1]) == (ids[2], ids[3])
    assert ids[0] != ids[1]
    for schema in (first, second):
        registry.check(name, schema)


def _retyped(schema):
    fields = [f | {"type": ["null", "long"]} if f["name"] == "trade_id" else f for f in schema["fields"]]
    return schema | {"fields": fields}


def _demanding(schema):
    return schema | {"fields": [*schema["fields"], {"name": "venue", "type": "string"}]}


@pytest.mark.parametrize(
    ("change", "reason"), [(_retyped, "STRING at /fields/8/type"), (_demanding, "venue")]
)
def test_init_refuses_an_incompatible_schema_with_the_registrys_reason(
    tmp_path, kafka_url, registry_url, change, reason
):
    """A real registry, through `k2 init` of the next version: exit status 2, its reason, and nothing changed."""
    home = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=kafka_url, K2_REGISTRY_URL=registry_url)
    assert home.made_topics()
    before = home.table(Name.TRADES).metadata_location
    done = _init(home, with_versions(tmp_path / "next", trade=change(schemas.newest("trade"))))
    assert 2 == done.returncode, done.stderr
    assert ("refuses subject" in done.stderr, reason in done.stderr) == (True, True), done.stderr
    assert before == home.table(Name.TRADES).metadata_location
    home.close()


def test_both_versions_on_kafka_become_rows_of_one_table(tmp_path, kafka_url, registry_url):
    """An upgrade with a broker and a registry: messages of both versions in one batch, wide prices and all."""
    home = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=kafka_url, K2_REGISTRY_URL=registry_url)
    _in_a_class_of_its_own(home)
    environment = with_versions(tmp_path / "next", trade=evolved("trade"))
    first = _options(home, trades(counting(2, 20)))
    home.publisher.publish(home.outlet(), first)
    done = _init(home, environment)
    assert (0, True) == (done.returncode, "gained column venue" in done.stdout), done.stderr
    second = _options(home, trades(counting(2, 20, first=21), start_us=OPEN_US + DAY_US // 24))
    price = pa.array([Decimal("1234567890123456.00000001")] * 40, pa.decimal128(24, 8))
    second = second.set_column(second.column_names.index("price"), "price", price)
    second = second.append_column("venue", pa.array(["XASX"] * 40))
    registry = HttpRegistry(RegistrySettings(url=registry_url))
    schema_id = registry.registered("market.options.trades-value", evolved("trade"))
    home.publisher.publish(Outlet(home.topic, "symbol", parse(evolved("trade")), schema_id), second)
    home.drain(**environment)
    rows = home.rows(Name.TRADES)
    assert ([], 80) == (home.rows(Name.DEAD_LETTERS), len(rows))
    assert {(None, False), ("XASX", True)} == {(r["venue"], r["price"] == price[0].as_py()) for r in rows}
    home.close()


def _in_a_class_of_its_own(home):
    """Its subjects are then those of no other test of this registry."""
    file = home.path / "exchanges.toml"
    file.write_text(file.read_text().replace('"equities"', '"options"'))
    home.topic = home.topic.replace("equities", "options")


def _options(home, rows):
    for name, value in (("exchange", home.exchange), ("asset_class", "options")):
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pa.array([value] * rows.num_rows))
    return rows


def _init(home, environment):
    code = "from k2app.cli.k2 import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "init"],
        env=os.environ | home.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
