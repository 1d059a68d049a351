"""A worker whose lake is behind a network that tests can spoil, and what it says meanwhile."""

import contextlib
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.pipeline.homes import trades
from tests.services.fault_proxy import FaultProxy, Proxy
from tests.services.kafka_homes import Worker, new_exchange
from tests.services.lakes.homes import LakeHome
from tests.services.postgres import Postgres
from tests.services.rest_catalog import RestCatalog
from tests.services.s3 import S3
from tests.services.servers import free_port

QUICK_LIMITS = {
    "K2_S3_TIMEOUT_S": "3",
    "K2_S3_CONNECT_TIMEOUT_S": "2",
    "K2_LAKE_TIMEOUT_S": "10",
    "K2_QUERY_TIMEOUT_S": "5",
    "K2_FLUSH_INTERVAL_S": "0.5",
}
"""What does not answer is given up by the worker within seconds: so much shorter is a test."""

ANSWER_WITHIN_S = 30.0
"""Deadline of one request to the worker: far above its own limits."""


@dataclass(frozen=True)
class Site:
    """A home, straight at its lake, and the worker's way there."""

    home: LakeHome
    proxy: Proxy
    upstream: int
    port: int
    through: dict[str, str]

    @contextmanager
    def worker(self, name: str = "first", **environment: str) -> Iterator[Worker]:
        """Run a worker whose lake is behind the proxy."""
        with self.home.worker(name, **{**self.through, **environment}) as worker:
            yield worker

    def mend(self) -> None:
        """Let everything through again."""
        self.proxy.lead_to(self.upstream)
        self.proxy.mend()

    def ready(self) -> tuple[int, str]:
        status, _, text = self.get("/health/ready")
        return status, text

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ready()[0] == 200
        return False

    def metric(self, line: str) -> float:
        """Value of a metric, as `name{label="value"}`; 0 if there is none."""
        found = re.search(f"^{re.escape(line)} (.+)$", self.get("/metrics")[2], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def query(self) -> tuple[int, dict[str, str], str]:
        """Ask for trades."""
        return self.get(f"/v1/trades?symbol=S1&exchange={self.home.exchange}&limit=5")

    def get(self, path: str) -> tuple[int, dict[str, str], str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=ANSWER_WITHIN_S
            ) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as problem:
            return problem.code, dict(problem.headers), problem.read().decode()


Way = Callable[[int], dict[str, str]]
"""Environment that leads to a port instead of a server's."""


def to_s3(storage: S3) -> tuple[int, Way]:
    """Port of a server, and the way to another."""
    return storage.port, lambda port: {"K2_S3_ENDPOINT": storage.at(port).endpoint}


def to_database(database: Postgres, lake: dict[str, str]) -> tuple[int, Way]:
    """The same of the database that a lake is in."""
    name = lake["K2_LAKE_URI"].rpartition("/")[2]
    return database.port, lambda port: {"K2_LAKE_URI": database.at(port).uri(name)}


def to_rest(rest: RestCatalog) -> tuple[int, Way]:
    """The same of a REST catalog."""
    return rest.port, lambda port: {"K2_LAKE_URI": rest.at(port).uri}


@contextmanager
def behind(
    proxy: FaultProxy,
    folder: Path,
    lake: dict[str, str],
    port: int,
    way: Way,
    **environment: str,
) -> Iterator[Site]:
    """A home whose worker reaches one of its servers by a proxy.

    Parameters
    ----------
    lake
        Environment of a lake, straight.
    port
        Of the server that is behind the proxy.
    way
        Environment that leads to a port instead of the server's.
    """
    exchange, web = new_exchange(), free_port()
    line = proxy.to(exchange, port)
    worker = {**QUICK_LIMITS, **environment, "K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(web)}
    through = {**worker, **way(line.port)}
    with closing(LakeHome(folder, exchange, **lake)) as home:
        _ = home.opened
        yield Site(home, line, port, web, through)


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Run a server that answers everything with one status and a page; yields its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "9")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"come back")

        do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the standard library's names

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def strike(site: Site, fault: str, stack: ExitStack) -> None:
    """Let a fault begin; it lasts until the site is mended."""
    faults: dict[str, Callable[[], None]] = {
        "cut": site.proxy.cut,
        "half-open": site.proxy.half_open,
        "503": lambda: site.proxy.lead_to(stack.enter_context(answering(503))),
    }
    faults[fault]()


class Production(threading.Thread):
    """Publishes trades, block after block, until it is ended."""

    def __init__(self, home: LakeHome, block: int, every_s: float) -> None:
        super().__init__()
        self._home, self._block, self._every_s = home, block, every_s
        self._ended = threading.Event()
        self.rows = 0
        _ = home.publisher

    def run(self) -> None:
        while not self._ended.wait(self._every_s):
            first = self.rows + 1
            self._home.publish(trades([("S1", first + i) for i in range(self._block)]))
            self.rows += self._block

    def end(self) -> None:
        self._ended.set()
        self.join()


@dataclass(frozen=True)
class Sample:
    """The worker at one moment of an outage."""

    at_s: float
    rss_mib: float
    buffered_rows: float
    published_rows: int


def watch(site: Site, worker: Worker, production: Production, for_s: float, every_s: float) -> list[Sample]:
    """Look at a worker for a while."""
    samples, begun_s = [], time.monotonic()
    while (at_s := time.monotonic() - begun_s) < for_s:
        buffered = site.metric('k2_buffered_rows{table="trades"}')
        samples.append(Sample(at_s, rss_mib(worker.process.pid), buffered, production.rows))
        time.sleep(every_s)
    return samples


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
