"""Fixtures of the services tests: real servers for the whole run, a fresh exchange (and so fresh topics) per test."""

from pathlib import Path

import pytest

from tests.services import servers
from tests.services.kafka_homes import MarketHome, new_exchange

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark everything in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("services")


@pytest.fixture(scope="session")
def kafka_url(tmp_path_factory):
    """A running Kafka."""
    with servers.kafka(tmp_path_factory.mktemp("kafka")) as url:
        yield url


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory):
    """A running schema registry."""
    with servers.registry(tmp_path_factory.mktemp("registry")) as url:
        yield url


@pytest.fixture
def home(tmp_path, kafka_url, registry_url):
    """A home on Kafka, with an exchange of its own."""
    made = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=kafka_url, K2_REGISTRY_URL=registry_url)
    yield made
    made.close()
