"""The producing side of a storm on Kafka, a process of its own: publishes without a pause until it is told to end.

    python -m tests.services.storm_producer FOLDER EXCHANGE PARTITIONS BLOCK_ROWS SEED

`K2_` variables say where Kafka, registry and lake are. SIGTERM ends it after the block that it is at; it prints
what it has sent, as JSON.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiokafka.errors import KafkaError
from faust.types import TP

from k2app.market.topics import DataType
from tests.services.kafka_homes import MarketHome, produce
from tests.services.storm_market import Stream
from tests.storm.production import BAD_MESSAGES

BAD_EVERY_BLOCKS = 25
"""Blocks between messages for the dead letters."""

STOP_WITHIN_S = 330.0
"""Seconds to end: a publication in a cluster that lost a broker may take long, yet is given up before that."""

SERVICES = ("K2_LOG_URL", "K2_REGISTRY_URL", "K2_LAKE_URI", "K2_LAKE_WAREHOUSE")
"""Variables that say where what is shared is."""


@dataclass
class Producer:
    """A running producer."""

    process: subprocess.Popen[str]
    printed: Path

    def check(self) -> None:
        """Fail if it has ended by itself."""
        assert self.process.poll() is None, self.printed.read_text()[-3_000:]

    def end(self) -> dict[str, int]:
        """Tell it to end; returns what it has sent, by data type."""
        self.check()
        self.process.terminate()
        said, _ = self.process.communicate(timeout=STOP_WITHIN_S)
        assert 0 == self.process.returncode, self.printed.read_text()[-3_000:]
        found: dict[str, int] = json.loads(said)
        return found


@contextlib.contextmanager
def producing(home: MarketHome, name: str, block_rows: int, seed: int) -> Iterator[Producer]:
    """Publish to a home's topics from a process beside, until the end of the block at the latest."""
    _ = home.opened
    given = {key: value for key, value in home.environment.items() if key in SERVICES} | home.beside(name)
    printed = home.path.with_name(f"{name}.out")
    arguments = [home.path.with_name(name), home.exchange, home.partitions, block_rows, seed]
    with printed.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.storm_producer", *map(str, arguments)],
            env=os.environ | {key: given[key] for key in SERVICES},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Producer(process, printed)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def main(folder: str, exchange: str, partitions: str, block_rows: str, seed: str) -> None:
    """Publish until SIGTERM."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    given = {name: os.environ[name] for name in SERVICES}
    home = MarketHome(Path(folder), exchange, partitions=int(partitions), **given)
    streams = [Stream(data_type, int(seed)) for data_type in (DataType.TRADES, DataType.QUOTES)]
    sent = {str(stream.data_type.value): 0 for stream in streams}
    blocks = 0
    with contextlib.closing(home):
        while not ending.is_set():
            for stream in streams:
                rows = stream.block(int(block_rows))
                home.publish(rows, stream.data_type)
                sent[stream.data_type.value] += rows.num_rows
            if blocks % BAD_EVERY_BLOCKS == 0:
                _publish_bad(home, blocks // BAD_EVERY_BLOCKS % home.partitions)
            blocks += 1
    sys.stdout.write(json.dumps(sent))


def _publish_bad(home: MarketHome, partition: int) -> None:
    # Whether they arrive while a broker is lost does not matter: what arrived is what is compared.
    with contextlib.suppress(KafkaError):
        asyncio.run(produce(home.cluster, TP(home.topic, partition), BAD_MESSAGES))


if __name__ == "__main__":
    main(*sys.argv[1:])
