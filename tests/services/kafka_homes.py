"""K2 homes whose exchange, and so whose topics and consumer group, no other test has; on Kafka or embedded."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from unittest import mock

import pyarrow as pa
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from faust.types import TP

from k2app import topology
from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.settings import read_settings
from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.kafka_cluster import Cluster, cluster_of, servers
from k2app.stream.kafka_reader import Reader
from k2app.stream.kafka_sending import send_pairs
from k2app.stream.log_records import records_from_pairs
from k2app.stream.logs_by_url import open_log
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry
from tests.pipeline.homes import WORKER_S, Home

EXCHANGE = """\
[{name}]
asset_class = "equities"
time_zone = "Australia/Sydney"
session_start = "00:00"
currency = "AUD"
partitions = {partitions}

[{name}.sequences]
trades = {{ kind = "contiguous", scope = "trading_date", first = 1 }}
quotes = {{ kind = "contiguous", scope = "trading_date", first = 1 }}
"""

K2 = ("-m", "k2app.cli.k2")
"""What Python runs for a command of `k2`."""


def new_exchange() -> str:
    """Name of an exchange that nobody has."""
    return f"x{uuid.uuid4().hex[:10]}"


@dataclass
class Worker:
    """A running worker."""

    process: subprocess.Popen
    output: Path

    def printed(self) -> str:
        return self.output.read_text()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def flushes(self) -> int:
        """Commits to the lake so far, over all starts under this name."""
        return self.printed().count('"event": "flushed"')

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        assert 0 == self.process.wait(WORKER_S), self.printed()


def cluster_at(where: Cluster | str) -> Cluster:
    """Cluster at a URL, by plain connections."""
    return where if isinstance(where, Cluster) else Cluster(where, servers(where))


async def produce(where: Cluster | str, tp: TP, pairs) -> None:
    """Send records as they are."""
    cluster = cluster_at(where)
    producer = AIOKafkaProducer(bootstrap_servers=cluster.servers, **cluster.access)
    await producer.start()
    try:
        await send_pairs(producer, tp, pairs)
    finally:
        await producer.stop()


def read_all(where: Cluster | str, tp: TP) -> list[tuple[int, bytes | None, bytes | None]]:
    """Offset, key and value of every record of a partition."""

    async def read() -> list[tuple[int, bytes | None, bytes | None]]:
        reader, found = Reader(cluster_at(where)), []
        await reader.start()
        try:
            end = (await reader.next_offsets([tp]))[tp]
            while len(found) < end:
                columns = await reader.read(tp, len(found), end)
                found += zip(columns.offsets, columns.keys, columns.values, strict=True)
        finally:
            await reader.stop()
        return found

    return asyncio.run(read())


async def next_offsets(where: Cluster | str, tps: list[TP]) -> dict[TP, int]:
    """Next offset of each partition."""
    reader = Reader(cluster_at(where))
    await reader.start()
    try:
        return await reader.next_offsets(tps)
    finally:
        await reader.stop()


def asked(where: Cluster | str, work):
    """Ask the cluster something."""
    return KafkaAdmin(cluster_at(where))._ask(work)


def delete_before(url: str, tp: TP, offset: int) -> None:
    """Let a log begin at `offset`, as retention would."""
    asked(
        url, lambda admin: admin.delete_records({TopicPartition(*tp): RecordsToDelete(before_offset=offset)})
    )


def delete_topic(url: str, topic: str) -> None:
    """Delete a topic."""
    asked(url, lambda admin: admin.delete_topics([topic]))


class MarketHome(Home):
    """A home that serves one exchange; its log is what `environment` says, embedded if it says nothing."""

    def __init__(self, path: Path, exchange: str, *, partitions: int = 2, **environment: str) -> None:
        super().__init__(path, **environment)
        self.exchange = exchange
        self.partitions = partitions
        self.topic = f"market.equities.trades.{exchange}"
        (path / "exchanges.toml").write_text(EXCHANGE.format(name=exchange, partitions=partitions))
        self.environment |= {"K2_EXCHANGES": exchange, "K2_CONSUMER_GROUP": f"k2-{exchange}"}

    @cached_property
    def settings(self):
        """As its workers read them."""
        with mock.patch.dict(os.environ, self.environment):
            return read_settings()

    @property
    def cluster(self) -> Cluster:
        return cluster_of(self.settings)

    @property
    def group(self) -> str:
        return self.settings.consumer_group

    # --- the log

    @cached_property
    def opened(self):
        """The log, with topics, subjects and tables made."""
        log, settings = open_log(self.settings), self.settings
        self.made = topology.initialise(
            settings,
            topology.topics(settings),
            log,
            open_registry(settings, log.file),
            open_catalog(settings),
        )
        return log

    def made_topics(self) -> list[str]:
        """Topics that opening made."""
        _ = self.opened
        return self.made.topics

    @cached_property
    def publisher(self):
        return self.opened.publisher()

    def close(self) -> None:
        """Close the log; it is opened again when it is asked for."""
        if "publisher" in self.__dict__:
            self.publisher.close()
        for name in ("publisher", "opened"):
            self.__dict__.pop(name, None)

    def outlet(self, data_type: DataType = DataType.TRADES) -> Outlet:
        topic, _ = topology.topics(self.settings).topic(self.exchange, data_type)
        _ = self.opened
        return Outlet(
            topic.name, "symbol", topology.reader_schema(data_type), self.made.subjects[topic.subject]
        )

    def publish(
        self, rows: pa.Table, data_type: DataType = DataType.TRADES, schema_id: int | None = None
    ) -> dict[int, tuple[int, int]]:
        at = rows.column_names.index("exchange")
        rows = rows.set_column(at, "exchange", pa.array([self.exchange] * rows.num_rows))
        outlet = self.outlet(data_type)
        return self.publisher.publish(
            outlet if schema_id is None else replace(outlet, schema_id=schema_id), rows
        )

    def publish_raw(self, pairs, *, topic: str | None = None, partition: int = 0) -> None:
        topic = topic or self.topic
        if self.opened.file is not None:
            self.opened.file.append(topic, [records_from_pairs(partition, pairs)])
        else:
            asyncio.run(produce(self.cluster, TP(topic, partition), pairs))

    def tps(self, topic: str | None = None) -> list[TP]:
        """Partitions of a topic; default: of the trades."""
        return [TP(topic or self.topic, p) for p in range(self.partitions)]

    def ends(self, topic: str | None = None) -> dict[int, int]:
        ends = asyncio.run(next_offsets(self.cluster, self.tps(topic)))
        return {tp.partition: end for tp, end in ends.items()}

    def committed(self) -> dict[tuple[str, int], int]:
        """Offsets that the consumer group has committed."""
        found = asked(self.cluster, lambda admin: admin.list_consumer_group_offsets(self.group))
        return {tuple(tp): at.offset for tp, at in found.items()}

    # --- workers

    @contextlib.contextmanager
    def worker(self, name: str = "first", **environment: str) -> Iterator["Worker"]:
        """Run a worker with a state folder of its own until the end of the block; whatever it prints is kept."""
        environment = (self.beside(name) if name != "first" else {}) | environment
        with self.running(["worker"], name, **environment) as worker:
            yield worker

    @contextlib.contextmanager
    def running(
        self, command: list[str], name: str, program: Sequence[str] = K2, **environment: str
    ) -> Iterator["Worker"]:
        """Run a command of `k2` until the end of the block; whatever it prints is kept."""
        printed = self.path.with_name(f"{name}.out")
        with printed.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, *program, *command],
                env=os.environ | self.environment | environment,
                stdout=out,
                stderr=out,
            )
        try:
            yield Worker(process, printed)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def k2(self, *arguments: str) -> str:
        """Run a command of `k2`; returns what it printed."""
        done = subprocess.run(
            [sys.executable, *K2, *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=WORKER_S,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def said(self, *arguments: str, program: str = "k2", status: int = 0, **environment: str) -> str:
        """All that a command prints, one that ends with `status`."""
        done = subprocess.run(
            [sys.executable, "-c", f"from k2app.cli.{program} import main; main()", *arguments],
            env=os.environ | self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WORKER_S,
            check=False,
        )
        assert status == done.returncode, done.stdout
        return done.stdout

    def beside(self, name: str) -> dict[str, str]:
        """Environment of another worker of the same lake."""
        return {
            "K2_HOME": str(self.path.with_name(name)),
            "K2_LAKE_URI": self.settings.catalog_uri,
            "K2_LAKE_WAREHOUSE": self.settings.warehouse,
        }

    # --- the lake

    def everything(self) -> dict:
        """Whatever must be the same in every run of the same input."""
        return {name: self.rows(name) for name in (Name.TRADES, Name.GAPS, Name.DEAD_LETTERS)} | {
            "floors": self.floors()
        }

    def committed_rows(self) -> int:
        """Offsets that the lake has."""
        return sum(self.floors().values())
