"""A network that is cut, slow or silent between K2, Kafka and the registry: nothing lost, nothing twice, and said."""

import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

import schemas
from k2app.errors import OperatorError, TransientError
from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from k2app.settings import RegistrySettings
from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.registry import HttpRegistry
from tests.pipeline.homes import counting, trades, wait_until
from tests.services import servers
from tests.services.fault_proxy import Proxy, fault_proxy
from tests.services.kafka_homes import MarketHome, cluster_at, new_exchange
from tests.services.servers import Listener, free_port

RECOVERY_S = 240.0
"""Deadline of a recovery: a silent connection is given up after the client's own limit, 90 s."""


@dataclass(frozen=True)
class Net:
    """A Kafka and a registry, each by a way that tests can spoil; `direct_url` is Kafka's without it."""

    kafka: Proxy
    registry: Proxy
    registry_port: int
    direct_url: str
    folder: object
    until_the_end: ExitStack
    """Closed after the last test: whatever was started anew in one of them."""

    def mend(self) -> None:
        self.registry.lead_to(self.registry_port)
        self.kafka.mend()
        self.registry.mend()


@pytest.fixture(scope="module")
def lines(tmp_path_factory, registry_url):
    """The servers and the ways to them."""
    folder = tmp_path_factory.mktemp("faults")
    with fault_proxy(folder / "proxy") as proxy:
        inner, outer = free_port(), free_port()
        registry_port = urlsplit(registry_url).port
        kafka = proxy.to("kafka", inner, outer)
        registry = proxy.to("registry", registry_port)
        listeners = [Listener("PROXIED", "PLAINTEXT", inner, outer)]
        with servers.kafka(folder / "kafka", listeners) as direct_url, ExitStack() as stack:
            yield Net(kafka, registry, registry_port, direct_url, folder / "kafka", stack)


@pytest.fixture
def net(lines):
    """All ways open, before and after."""
    lines.mend()
    # A broker that comes back, and a proxy that was just mended, may close the first connections.
    wait_until(lambda: kafka_answers(f"kafka://127.0.0.1:{lines.kafka.port}"), "Kafka, through the proxy")
    yield lines
    lines.mend()


def kafka_answers(url: str) -> bool:
    """Whether Kafka says who it is."""
    with suppress(TransientError):
        return bool(KafkaAdmin(cluster_at(url)).cluster_id())
    return False


@dataclass(frozen=True)
class Site:
    """A home behind the network, and the same one beside it, by which rows come."""

    home: MarketHome
    beside: MarketHome
    port: int

    def ready(self) -> tuple[int, str]:
        return get(f"http://127.0.0.1:{self.port}/health/ready")

    def waits(self, part: str) -> bool:
        _, text = get(f"http://127.0.0.1:{self.port}/metrics")
        return f'k2_waiting{{part="{part}"}} 1.0' in text


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read().decode()


@contextmanager
def site(net: Net, tmp_path, registry_url, **environment: str):
    """A home whose worker is to run with its web views; `environment` are further K2_ variables of it."""
    exchange, port = new_exchange(), free_port()
    way = f"http://127.0.0.1:{net.registry.port}{urlsplit(registry_url).path}"
    behind = {"K2_LOG_URL": f"kafka://127.0.0.1:{net.kafka.port}", "K2_REGISTRY_URL": way}
    home = MarketHome(
        tmp_path / "home",
        exchange,
        **behind,
        K2_WEB_ENABLED="true",
        K2_WEB_PORT=str(port),
        K2_FLUSH_INTERVAL_S="0.2",
        K2_REGISTRY_TIMEOUT_S="3",
        **environment,
    )
    straight = {"K2_LOG_URL": net.direct_url, "K2_REGISTRY_URL": registry_url}
    beside = MarketHome(tmp_path / "beside", exchange, **straight)
    with closing(home), closing(beside):
        _ = home.opened
        yield Site(home, beside, port)


def assert_whole(home: MarketHome, each: int) -> None:
    """Three symbols with numbers 1 to `each`: every one once, none flagged; and the metadata proves it."""
    rows = home.rows(Name.TRADES)
    assert sorted(counting(3, each)) == sorted((row["symbol"], row["sequence"]) for row in rows)
    assert {"first", "ok"} == {row["sequence_flag"] for row in rows}
    assert [] == completeness(home.table(Name.TRADES))
    assert [] == home.rows(Name.DEAD_LETTERS)


# --- Kafka


def kafka_fault(name: str) -> Callable[[Net], None]:
    return {"cut": lambda net: net.kafka.cut(), "half-open": lambda net: net.kafka.half_open()}[name]


@pytest.mark.parametrize("fault", ["cut", "half-open"])
def test_worker_waits_for_kafka_and_says_so(net, tmp_path, registry_url, fault):
    """While Kafka is away it is not ready, for a reason; what came meanwhile is ingested once it is back."""
    with site(net, tmp_path, registry_url) as here, here.home.worker() as worker:
        here.beside.publish(trades(counting(3, 100)))
        wait_until(lambda: here.home.committed_rows() == 300, "the first rows in the lake")
        wait_until(lambda: here.ready()[0] == 200, "a worker that is ready")
        kafka_fault(fault)(net)
        here.beside.publish(trades(counting(3, 100, first=101)))
        wait_until(lambda: "Kafka at kafka://" in here.ready()[1], "the reason in /health/ready", RECOVERY_S)
        assert (503, True) == (here.ready()[0], here.waits("log"))
        wait_until(lambda: "waiting_for_kafka" in worker.printed(), "a line in the log")
        net.mend()
        wait_until(lambda: here.home.committed_rows() == 600, "everything in the lake", RECOVERY_S)
        wait_until(lambda: here.ready()[0] == 200, "a worker that is ready again", RECOVERY_S)
        assert not here.waits("log")
        assert "kafka_answers_again" in worker.printed()
        worker.stop()
    assert_whole(here.home, 200)


def test_slow_kafka_is_no_fault(net, tmp_path, registry_url):
    """Answers that come a second late: everything is ingested, and nobody is told that Kafka is away."""
    with site(net, tmp_path, registry_url) as here:
        here.beside.publish(trades(counting(3, 10)))
        net.kafka.slow(1_000)
        with here.home.worker() as worker:
            wait_until(lambda: here.home.committed_rows() == 30, "the first rows in the lake", RECOVERY_S)
            here.beside.publish(trades(counting(3, 10, first=11)))
            wait_until(lambda: here.home.committed_rows() == 60, "everything in the lake", RECOVERY_S)
            net.mend()
            worker.stop()
        assert "waiting_for_kafka" not in worker.printed()
    assert_whole(here.home, 20)


# --- the registry


@contextmanager
def answering(status: int):
    """Run a server that answers everything with one status and a page; yields its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>no registry here</html>")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def new_schema(registry_url: str) -> int:
    """Register our schema of trades once more, under a subject and with words that nobody has; its id."""
    registry, words = HttpRegistry(RegistrySettings(url=registry_url)), uuid.uuid4().hex
    return registry.register(f"x{words}-value", schemas.newest("trade") | {"doc": words})


@pytest.mark.parametrize("fault", ["cut", "half-open", 503, 404])
def test_worker_waits_for_the_registry_and_says_so(net, tmp_path, registry_url, fault):
    """A message whose schema cannot be asked for is no dead letter: it waits, and so do readiness and metric."""
    with ExitStack() as stack:
        here = stack.enter_context(site(net, tmp_path, registry_url))
        worker = stack.enter_context(here.home.worker())
        wait_until(lambda: started(here), "a worker that is ready")
        if fault == "cut":
            net.registry.cut()
        elif fault == "half-open":
            net.registry.half_open()
        else:
            net.registry.lead_to(stack.enter_context(answering(fault)))
        here.beside.publish(trades(counting(3, 10)), schema_id=new_schema(registry_url))
        wait_until(lambda: "the schema registry http" in here.ready()[1], "the reason in /health/ready")
        assert 503 == here.ready()[0]
        wait_until(lambda: here.waits("trades"), "the metric")
        assert '"event": "standing_down"' in worker.printed()
        assert 0 == here.home.committed_rows()
        net.mend()
        wait_until(lambda: here.home.committed_rows() == 30, "everything in the lake", RECOVERY_S)
        wait_until(lambda: here.ready()[0] == 200, "a worker that is ready again")
        assert not here.waits("trades")
        worker.stop()
    assert_whole(here.home, 10)


def started(here: Site) -> bool:
    try:
        return here.ready()[0] == 200
    except OSError:
        return False


# --- in the middle of a load


@pytest.mark.parametrize("fault", ["cut", "half-open", "killed broker"])
def test_load_rides_an_outage_out(net, tmp_path, registry_url, fault):
    """Kafka goes away while a file is on its way, and comes back: every row is on the log once, in order."""
    rows = 6_000
    with site(net, tmp_path, registry_url) as here, ExitStack() as stack:
        file = tmp_path / "trades.csv"
        text = [
            f"S{i % 3},2026-01-05T00:{i // 60 % 60:02}:{i % 60:02}Z,1,1,{i // 3 + 1}" for i in range(rows)
        ]
        file.write_text("symbol,timestamp,price,quantity,sequence\n" + "\n".join(text) + "\n")
        _ = here.beside.opened
        net.kafka.slow(100)
        load = stack.enter_context(
            loading(here.home, file, K2_LOAD_BLOCK_BYTES="4096", K2_WEB_ENABLED="false")
        )
        wait_until(lambda: sum(here.beside.ends().values()) > 0, "the first rows on the log")
        strike(net, fault)
        wait_until(
            lambda: "Got error produce response" in load.printed(), "the load that noticed it", RECOVERY_S
        )
        assert not load.ended()
        net.mend()
        wait_until(load.ended, "the end of the load", RECOVERY_S)
        assert 0 == load.process.returncode, load.printed()
        assert rows == sum(here.beside.ends().values())
        here.beside.drain()
    assert_whole(here.beside, rows // 3)


def strike(net: Net, fault: str) -> None:
    if fault == "killed broker":
        servers.kill_kafka(net.folder)
        net.until_the_end.enter_context(servers.kafka_again(net.folder))
    else:
        kafka_fault(fault)(net)


@contextmanager
def loading(home: MarketHome, file, **environment: str):
    """Run `k2 load` beside."""
    command = ["load", str(file), "--exchange", home.exchange, "--type", "trades"]
    with home.running(command, "load", **environment) as process:
        yield process


def test_load_that_is_not_confirmed_ends_with_what_to_do(net, tmp_path, registry_url):
    """A cluster that stays away: the load ends by its deadline, says that part may be there, and does not hang."""
    with site(net, tmp_path, registry_url, K2_KAFKA_CONFIRM_WITHIN_S="2") as here:
        home = here.home
        _ = home.publisher, home.outlet()
        home.publish(trades(counting(3, 1)))
        net.kafka.cut()
        with pytest.raises(
            OperatorError, match=r"did not confirm 3 rows.*K2_KAFKA_CONFIRM_WITHIN_S.*load the file again"
        ):
            home.publish(trades(counting(3, 1, first=2)))
        home.close()
