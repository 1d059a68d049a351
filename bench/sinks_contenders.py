"""Who takes part in `bench/sinks.py`: how each is started, and where it commits to."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homes import EXCHANGE, Home
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

from k2app import topology
from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.kafka_cluster import Cluster

QUIX_APP = Path(__file__).with_name("sinks_quix.py")

QUIX_PYTHON = Path("bench-out/sinks-env/bin/python")
"""Environment of `bench/sinks.txt`."""

TABLE = "bench.trades"
"""Where the others write to."""


@dataclass(frozen=True)
class Asked:
    """What every contender is given: a home on Kafka whose topic holds the trades.

    Parameters
    ----------
    interval_s
        Seconds between commits.
    tasks
        Of the Connect sink.
    """

    home: Home
    interval_s: float
    tasks: int

    @property
    def topic(self) -> str:
        """Topic of the trades."""
        return topology.topics(self.home.settings).topic(EXCHANGE, DataType.TRADES)[0].name

    @property
    def servers(self) -> str:
        """The broker's address."""
        return self.home.settings.log_url.removeprefix("kafka://")

    def folder(self, name: str) -> Path:
        """Make a folder, with one for a warehouse in it."""
        folder = self.home.settings.home.parent / name
        (folder / "warehouse").mkdir(parents=True)
        return folder

    def admin(self) -> KafkaAdmin:
        """Administration of the cluster."""
        return KafkaAdmin(Cluster(self.home.settings.log_url, [self.servers]))


@dataclass(frozen=True)
class Contender:
    """A program that brings the topic into a table, from its start on and until it is ended.

    Parameters
    ----------
    group
        Consumer group that it joins just before its first fetch.
    folder
        For its files, if it needs any, and its output.
    """

    name: str
    command: list[str]
    group: str
    folder: Path
    catalog: Catalog
    table: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """File for what it says."""
        return self.folder / "output"


def k2(asked: Asked) -> Contender:
    """K2's worker, as `bench/log_to_lake.py` starts it, and running on."""
    settings = asked.home.settings
    return Contender(
        "K2",
        [sys.executable, "-m", "k2app.cli.k2", "worker"],
        settings.consumer_group,
        asked.folder("k2"),
        open_catalog(settings),
        f"{settings.lake.namespace}.{Name.TRADES}",
        asked.home.environment | {"K2_FLUSH_INTERVAL_S": str(asked.interval_s)},
    )


def quix(asked: Asked) -> Contender:
    """Quix Streams with its Iceberg sink."""
    if not QUIX_PYTHON.exists():
        raise SystemExit(f"{QUIX_PYTHON} is missing: run `make bench-sinks`, which makes it")
    folder = asked.folder("quix")
    programs = [str(path.absolute()) for path in (QUIX_PYTHON, QUIX_APP)]
    places = [asked.servers, asked.home.settings.registry.url, asked.topic, "quix", str(folder)]
    command = [*programs, *places, str(asked.interval_s)]
    return Contender("Quix Streams", command, "quix", folder, sqlite_catalog("quix", folder), TABLE)


def sqlite_catalog(name: str, folder: Path) -> SqlCatalog:
    """Catalog in SQLite, over a folder for its tables."""
    return SqlCatalog(name, uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
