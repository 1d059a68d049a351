"""A real schema registry, by its Confluent-compatible interface; and the registry in a file that K2 brings."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import schemas
from k2app.errors import OperatorError, TransientError
from k2app.lake.tables import Name
from k2app.settings import RegistrySettings, read_settings
from k2app.stream.registry import HttpRegistry, open_registry
from tests.pipeline.homes import counting, trades
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
