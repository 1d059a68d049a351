"""Fixtures of the services tests: real servers for the whole run, a fresh exchange (and so fresh topics) per test.

All processes of a parallel run share one Kafka and one registry: they run beside pytest-xdist's controller.
"""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.services import servers
from tests.services.artifacts import FetchError
from tests.services.artifacts import home as fetched
from tests.services.kafka_homes import MarketHome, new_exchange

HERE = Path(__file__).parent

URLS = "k2_services"
"""Name under which the controller tells its processes where the servers are."""


def pytest_collection_modifyitems(items):
    """Mark everything in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("services")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Start the servers before the first process of a parallel run, stop them after the last."""
    config = node.config
    if not hasattr(config, URLS):
        stack = ExitStack()
        config.add_cleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k2-services-")))
        try:
            setattr(config, URLS, stack.enter_context(running(folder)))
        except (FetchError, RuntimeError) as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
    node.workerinput[URLS] = getattr(config, URLS)


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, str]]:
    """Run Kafka and a registry; yields their URLs."""
    fetched()
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        # Each takes seconds to start, most of them alone.
        starts = [
            threads.submit(stack.enter_context, server(folder / server.__name__))
            for server in (servers.kafka, servers.registry)
        ]
        kafka, registry = (start.result() for start in starts)
        yield kafka, registry


@pytest.fixture(scope="session")
def urls(request, tmp_path_factory):
    """URLs of Kafka and registry: the controller's, or servers of this process."""
    given = getattr(request.config, "workerinput", {}).get(URLS)
    if given is not None:
        yield given
        return
    with running(tmp_path_factory.mktemp("services")) as found:
        yield found


@pytest.fixture(scope="session")
def kafka_url(urls):
    """A running Kafka."""
    return urls[0]


@pytest.fixture(scope="session")
def registry_url(urls):
    """A running schema registry."""
    return urls[1]


@pytest.fixture
def home(tmp_path, kafka_url, registry_url):
    """A home on Kafka, with an exchange of its own."""
    made = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=kafka_url, K2_REGISTRY_URL=registry_url)
    yield made
    made.close()
