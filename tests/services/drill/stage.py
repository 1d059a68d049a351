"""What a drill plays on: a worker under load, on an embedded log, its registry behind a proxy, its clock in a file."""

import json
import os
import resource
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from k2app.lake.tables import Name
from tests.pipeline.homes import trades, wait_until
from tests.services import servers
from tests.services.fault_proxy import Proxy, fault_proxy
from tests.services.kafka_homes import MarketHome, Worker, new_exchange

BLOCK_ROWS, EVERY_S = 1_000, 0.25
"""Rows of a block, and seconds between two: a load that any laptop carries."""

SYMBOLS = 20

CLOCK_WORKER = Path(__file__).parents[2] / "pipeline" / "storm" / "clock_worker.py"
"""`k2 worker` whose wall clock is off by the seconds in a file."""

LIMITS = {"K2_FLUSH_INTERVAL_S": "1", "K2_FLUSH_MAX_ROWS": "50000", "K2_METRICS_LOOK_S": "1"}
"""Flushes and looks of a second: so much shorter is a drill."""

ANSWER_WITHIN_S = 10.0
"""Deadline of one request to the worker; one that is stopped does not answer."""

AT_WORK_S = 120.0
"""Deadline of a start, and of the way back from a fault."""


class Production(threading.Thread):
    """Publishes numbered trades until it is ended; `times` as many rows when there is a burst."""

    def __init__(self, home: MarketHome) -> None:
        super().__init__(name="production")
        self._home, self._ended = home, threading.Event()
        self._numbers = 0
        self.times = 1
        self.schema_id: int | None = None
        """Id under which rows are sent; None: the home's own."""
        self.rows = 0
        self.error: Exception | None = None
        _ = home.publisher

    def run(self) -> None:
        """Publish, block after block."""
        try:
            while not self._ended.wait(EVERY_S):
                self._block(BLOCK_ROWS * self.times // SYMBOLS)
        except Exception as error:  # noqa: BLE001 - the top of the thread; `check` raises it
            self.error = error

    def _block(self, each: int) -> None:
        numbers = [(f"S{s:02}", self._numbers + n) for n in range(1, each + 1) for s in range(SYMBOLS)]
        self._home.publish(trades(numbers), schema_id=self.schema_id)
        self._numbers += each
        self.rows += len(numbers)

    def check(self) -> None:
        """Fail if it has ended by itself."""
        if self.error is not None:
            raise AssertionError("the production of the drill failed") from self.error

    def end(self) -> None:
        """Publish no more."""
        self._ended.set()
        self.join(AT_WORK_S)
        self.check()


@dataclass
class Stage:
    """A worker under load, and the ways to break it."""

    home: MarketHome
    worker: Worker
    port: int
    production: Production
    registry: Proxy
    clock: Path
    dead: int = 0
    """Messages sent that nobody can read."""
    notes: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The worker's."""
        return self.worker.process.pid

    def check(self) -> None:
        """Fail if the worker or the production has ended."""
        self.production.check()
        assert not self.worker.ended(), f"the worker ended:\n{self.worker.printed()[-3_000:]}"

    def readiness(self) -> str:
        """What /health/ready says is wrong; empty: nothing."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/health/ready", timeout=ANSWER_WITHIN_S
            ):
                return ""
        except urllib.error.HTTPError as refused:
            with refused:
                return "; ".join(json.load(refused)["reasons"])
        except OSError as error:
            return f"no answer: {error}"

    def log_end(self) -> int:
        """Records that the log has taken."""
        return sum(end for _, end in self.home.opened.file.bounds([self.home.topic]).values())

    def caught_up(self) -> bool:
        """Whether the lake has what was on the log when it was asked."""
        end = self.log_end()
        try:
            wait_until(lambda: self.home.committed_rows() >= end, "the lake at the log's end", 1.0)
        except AssertionError:
            return False
        return True

    # --- ways to break it

    def fill_disk(self) -> None:
        """Let every write to a file fail, as on a full disk."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free_disk(self) -> None:
        """Let it write again."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def freeze(self) -> None:
        """Stop the process."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def set_clock(self, off_s: int) -> None:
        """Let the worker's wall clock be off by so many seconds."""
        beside = self.clock.with_suffix(".new")
        beside.write_text(str(off_s))
        beside.replace(self.clock)

    def poison(self, messages: int) -> None:
        """Publish messages that nobody can read."""
        self.home.publish_raw([(b"S00", b"poison %d" % n) for n in range(messages)])
        self.dead += messages

    def counts(self) -> Mapping[Name, int]:
        """Rows of trades and dead letters."""
        return {name: self.home.table(name).scan().count() for name in (Name.TRADES, Name.DEAD_LETTERS)}


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Set everything up; at the end nothing is left running."""
    clock = folder / "clock"
    clock.write_text("0")
    port = servers.free_port()
    with servers.registry(folder / "registry") as url, fault_proxy(folder / "proxy") as proxy:
        exchange = new_exchange()
        line = proxy.to(exchange, int(url.split(":")[2].partition("/")[0]))
        home = MarketHome(folder / "home", exchange, K2_REGISTRY_URL=url)
        environment = {
            **LIMITS,
            "K2_WEB_ENABLED": "true",
            "K2_WEB_PORT": str(port),
            "K2_REGISTRY_URL": f"http://127.0.0.1:{line.port}/apis/ccompat/v7",
        }
        with closing(home):
            _ = home.opened
            with home.running([], "worker", (str(CLOCK_WORKER), str(clock)), **environment) as worker:
                production = Production(home)
                found = Stage(home, worker, port, production, line, clock)
                production.start()
                try:
                    wait_until(lambda: found.readiness() == "", "a worker that is ready", AT_WORK_S)
                    wait_until(lambda: home.committed_rows() > 0, "a first commit", AT_WORK_S)
                    yield found
                finally:
                    production.end()
