"""A K2 home for tests: publishes messages, runs real workers, reads the lake back."""

import os
import socket
import subprocess
import sys
import time
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from k2app import topology
from k2app.lake.catalog import load, open_catalog
from k2app.lake.floors import floor_in_force
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.settings import read_settings
from k2app.stream.log_file import LogFile
from k2app.stream.log_path import log_path
from k2app.stream.log_records import records_from_pairs
from k2app.stream.publisher import EmbeddedPublisher, Outlet
from k2app.stream.registry import open_registry
from tests.processes import stopped

TRADES = "market.equities.trades.asx"
QUOTES = "market.equities.quotes.asx"
REFERENCE = "market.equities.reference_data.asx"

DAY_US = 86_400_000_000
OPEN_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z: 11:00 in Sydney."""

EXCHANGES = "[asx]\npartitions = 2\n"

WORKER_S = 120.0
"""Deadline of one worker run: far above the seconds it takes, so that only a hang meets it."""


class Home:
    """One home; `environment` are further K2_ variables of its workers."""

    def __init__(self, path: Path, **environment: str) -> None:
        path.mkdir(parents=True)
        (path / "exchanges.toml").write_text(EXCHANGES)
        self.path = path
        self.environment = {
            "K2_HOME": str(path),
            "K2_EXCHANGES": "asx",
            "K2_EXCHANGES_FILE": str(path / "exchanges.toml"),
            "K2_WEB_ENABLED": "false",
            "K2_LOGS_FORMAT": "json",
        } | environment

    @property
    def settings(self):
        return read_settings(home=self.path, exchanges="asx", exchanges_file=self.path / "exchanges.toml")

    # --- the log

    @cached_property
    def log(self) -> LogFile:
        log = LogFile(log_path(self.settings.log_url))
        served = topology.topics(self.settings)
        self.made = topology.initialise(
            self.settings, served, log, open_registry(self.settings, log), open_catalog(self.settings)
        )
        return log

    def outlet(self, data_type: DataType) -> Outlet:
        topic, _ = topology.topics(self.settings).topic("asx", data_type)
        _ = self.log
        key = "company_id" if data_type is DataType.REFERENCE_DATA else "symbol"
        return Outlet(topic.name, key, topology.reader_schema(data_type), self.made.subjects[topic.subject])

    def publish(self, rows: pa.Table, data_type: DataType = DataType.TRADES) -> None:
        """Publish rows as the loader does."""
        EmbeddedPublisher(self.log).publish(self.outlet(data_type), rows)

    def publish_raw(self, pairs, *, topic: str = TRADES, partition: int = 0) -> None:
        """Publish keys and values as they are."""
        self.log.append(topic, [records_from_pairs(partition, pairs)])

    def ends(self, topic: str = TRADES) -> dict[int, int]:
        return {p: end for (_, p), (_, end) in self.log.bounds([topic]).items()}

    # --- workers

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        """Start a worker process."""
        return subprocess.Popen(
            [sys.executable, "-m", "k2app.cli.k2", "worker", *arguments],
            env=os.environ | self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def drain(self, **environment: str) -> str:
        """Run a worker to the end of the log; returns what it printed."""
        status, printed = self.run("--drain", **environment)
        assert 0 == status, printed
        return printed

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run a worker; returns its exit status and what it printed."""
        with stopped(self.start(*arguments, **environment)) as process:
            printed, _ = process.communicate(timeout=WORKER_S)
            return process.returncode, printed

    # --- the lake

    def table(self, name: Name):
        return load(open_catalog(self.settings), self.settings, name)

    def rows(self, name: Name) -> list[dict]:
        """Rows of a table in coordinate order, without what differs from run to run."""
        found = self.table(name).scan().to_arrow()
        keys = [c for c in ("topic", "partition", "offset", "event_index") if c in found.column_names]
        found = found.sort_by([(k, "ascending") for k in keys])
        varying = {"log_id", "commit_id", "committed_at", "log_timestamp"}
        return found.drop_columns(sorted(varying & set(found.column_names))).to_pylist()

    def floors(self, name: Name = Name.TRADES) -> dict[tuple[str, int], int]:
        found = floor_in_force(self.table(name).metadata).partitions
        return {(p.topic, p.partition): floor.next_offset for p, floor in found.items()}


def free_port() -> int:
    """Port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds, what: str, within_s: float = WORKER_S) -> None:
    """Poll until something holds, or fail by the deadline."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def trades(numbers: list[tuple[str, int | None]], *, start_us: int = OPEN_US, price: int = 100) -> pa.Table:
    """Trades of the given symbols and sequence numbers, a millisecond apart."""
    n = len(numbers)
    return pa.table(
        {
            "symbol": pa.array([s for s, _ in numbers], pa.string()),
            "exchange": ["asx"] * n,
            "asset_class": ["equities"] * n,
            "timestamp": pa.array(start_us + 1_000 * np.arange(n)).cast(pa.timestamp("us", "UTC")),
            "price": pa.array([Decimal(price + i % 7) for i in range(n)], pa.decimal128(18, 8)),
            "quantity": pa.array([Decimal(1 + i % 5) for i in range(n)], pa.decimal128(18, 8)),
            "currency": ["AUD"] * n,
            "side": ["BUY"] * n,
            "trade_id": pa.array([f"T{i}" for i in range(n)]),
            "conditions": pa.array([[]] * n, pa.list_(pa.string())),
            "sequence": pa.array([q for _, q in numbers], pa.int64()),
            "ingested_at": pa.array(np.full(n, OPEN_US)).cast(pa.timestamp("us", "UTC")),
            "load_id": pa.nulls(n, pa.string()),
            "source_line": pa.array(np.arange(n)),
            "attributes": pa.nulls(n, pa.map_(pa.string(), pa.string())),
        }
    )


def counting(symbols: int, each: int, first: int = 1) -> list[tuple[str, int | None]]:
    """`each` numbers per symbol from `first` on, the symbols in turn."""
    return [(f"S{s}", first + i) for i in range(each) for s in range(symbols)]
