"""A fresh K2 home on one of the two logs, and its commands, timed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from trades import blocks

from k2app import topology
from k2app.lake.catalog import load, open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.settings import Settings, read_settings
from k2app.stream.logs_by_url import open_log, open_view
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry
from tests.services import servers
from tests.services.artifacts import FetchError, home, tool

LOGS = ("embedded", "kafka")

EXCHANGE = "asx"


@dataclass(frozen=True)
class Timed:
    """What a command took."""

    seconds: float
    peak_mib: int


class Home:
    """A home on one log."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.environment = os.environ | {
            "K2_HOME": str(settings.home),
            "K2_LOG_URL": settings.log_url,
            "K2_REGISTRY_URL": settings.registry.url,
            "K2_WEB_ENABLED": "false",
            "K2_LOGS_LEVEL": "warning",
        }

    def k2(self, *arguments: str) -> Timed:
        """Run a command of `k2`, from its start to its end."""
        command = [sys.executable, "-m", "k2app.cli.k2", *arguments]
        started = time.perf_counter()
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        return Timed(seconds, usage.ru_maxrss // 1024)

    def publish(self, rows: int, symbols: int) -> float:
        """Publish trades as the loader does; returns the seconds it took, without generating."""
        log, served = open_log(self.settings), topology.topics(self.settings)
        registry = open_registry(self.settings, log.file)
        made = topology.initialise(self.settings, served, log, registry, open_catalog(self.settings))
        topic, _ = served.topic(EXCHANGE, DataType.TRADES)
        schema = topology.reader_schema(DataType.TRADES)
        outlet = Outlet(topic.name, "symbol", schema, made.subjects[topic.subject])
        took_s = 0.0
        with closing(log.publisher()) as publisher:
            for block in blocks(rows, symbols):
                started = time.perf_counter()
                publisher.publish(outlet, block)
                took_s += time.perf_counter() - started
        return took_s

    def records_on_log(self) -> int:
        """Trades on the log."""
        topic, _ = topology.topics(self.settings).topic(EXCHANGE, DataType.TRADES)
        with closing(open_view(self.settings)) as view:
            return sum(end for _, end in view.bounds([topic.name]).values())

    def commits(self) -> list[int]:
        """Rows of each snapshot of the lake's trades."""
        with closing(open_catalog(self.settings)) as catalog:
            snapshots = load(catalog, self.settings, Name.TRADES).snapshots()
        return [int(s.summary["k2.rows"] or 0) for s in snapshots if s.summary is not None]


@contextmanager
def fresh(log: str) -> Iterator[Home]:
    """Make a home on a log of its own; Kafka and its registry run until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "home"
        if log == "embedded":
            yield Home(read_settings(home=path))
            return
        kafka, registry = servers.kafka(path.parent / "kafka"), servers.registry(path.parent / "registry")
        with kafka as log_url, registry as registry_url:
            yield Home(read_settings(home=path, log={"url": log_url}, registry={"url": registry_url}))


def missing(log: str) -> str | None:
    """Why a log cannot be had on this machine; None: it can."""
    if log == "embedded":
        return None
    try:
        tool("java")
        home()
    except FetchError as error:
        return str(error).splitlines()[0]
    return None


def expect(what: str, expected: int | Decimal, found: int | Decimal) -> None:
    """End if something was not done: its speed would mean nothing."""
    if expected != found:
        raise SystemExit(f"{what}: {found:,}, expected {expected:,}")
