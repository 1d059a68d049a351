"""Real servers for tests: Apache Kafka in KRaft mode, and a Confluent-compatible schema registry (Apicurio).

They run on free ports of the loopback interface; where they come from: `tests.services.artifacts`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2app.errors import TransientError
from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.kafka_cluster import Cluster
from tests.services.artifacts import home, tool

START_WITHIN_S = 60.0
"""Deadline of a start: far above the seconds it takes, so that only a failure meets it."""

STOP_WITHIN_S = 20.0
"""Seconds to end by itself after SIGTERM."""

KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


@dataclass(frozen=True)
class Listener:
    """A port that a broker listens on.

    Parameters
    ----------
    protocol
        PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    advertised
        Port under which clients are told to come: that of a proxy, for example; 0: its own.
    """

    name: str
    protocol: str
    port: int
    advertised: int = 0


@contextlib.contextmanager
def kafka(
    folder: Path, further: Sequence[Listener] = (), properties: str = "", storage: Sequence[str] = ()
) -> Iterator[str]:
    """Run a broker that is its own controller, with a fresh cluster id; yields its URL.

    Parameters
    ----------
    further
        Listeners beside the plain one, which the broker itself and the tests use.
    properties
        Further lines of the broker's configuration.
    storage
        Further options of the formatting of its storage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = Listener("PLAINTEXT", "PLAINTEXT", free_port())
    (folder / "server.properties").write_text(
        KAFKA_PROPERTIES.format(
            controller=free_port(), folder=folder, **listener_properties([plain, *further])
        )
        + properties
    )
    format_storage(folder, new_cluster_id(), storage)
    with kafka_again(folder):
        yield f"kafka://127.0.0.1:{plain.port}"


def listener_properties(listeners: Sequence[Listener]) -> dict[str, str]:
    """What a broker is told of its listeners."""
    return {
        "listeners": ",".join(f"{one.name}://127.0.0.1:{one.port}" for one in listeners),
        "advertised": ",".join(f"{one.name}://127.0.0.1:{one.advertised or one.port}" for one in listeners),
        "protocols": ",".join(f"{one.name}:{one.protocol}" for one in listeners),
    }


def new_cluster_id() -> str:
    """Identity for a new cluster."""
    return _storage_tool("random-uuid").strip()


def format_storage(folder: Path, cluster_id: str, options: Sequence[str] = ()) -> None:
    """Make the storage of a broker whose configuration is in `folder`."""
    _storage_tool("format", "-t", cluster_id, "-c", str(folder / "server.properties"), *options)


def _storage_tool(*arguments: str) -> str:
    classpath = (home() / "kafka.classpath").read_text().strip()
    command = [tool("java"), "-cp", classpath, "kafka.tools.StorageTool", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def kafka_again(folder: Path) -> Iterator[None]:
    """Run the broker whose storage is in `folder`."""
    classpath = (home() / "kafka.classpath").read_text().strip()
    properties = folder / "server.properties"
    port = _port(folder)
    admin = KafkaAdmin(Cluster(f"kafka://127.0.0.1:{port}", [f"127.0.0.1:{port}"]))
    command = [tool("java"), "-Xms256m", "-Xmx512m", "-cp", classpath, "kafka.Kafka", properties]

    def answers() -> bool:
        with contextlib.suppress(TransientError):
            return _is_open(port) and bool(admin.cluster_id())
        return False

    with running(command, folder / "kafka.out", answers) as process:
        (folder / "kafka.pid").write_text(str(process.pid))
        yield


def kill_kafka(folder: Path) -> None:
    """Kill the broker whose storage is in `folder`, and wait for its port."""
    stop_kafka(folder, signal.SIGKILL)


def stop_kafka(folder: Path, how: signal.Signals = signal.SIGTERM) -> None:
    """Stop the broker whose storage is in `folder`, before its block ends, and wait for its port."""
    os.kill(int((folder / "kafka.pid").read_text()), how)
    deadline = time.monotonic() + STOP_WITHIN_S
    while _is_open(_port(folder)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Kafka did not stop within {STOP_WITHIN_S} s")
        time.sleep(0.1)


def _port(folder: Path) -> int:
    settings = dict(line.split("=", 1) for line in (folder / "server.properties").read_text().splitlines())
    return int(settings["listeners"].partition(",")[0].rpartition(":")[2])


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run an empty schema registry, in memory; yields the URL of its Confluent-compatible interface."""
    folder.mkdir(parents=True, exist_ok=True)
    (jar,) = (home() / "registry").glob("*-runner.jar")
    port = free_port()
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    environment = {"QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)}

    def answers() -> bool:
        with contextlib.suppress(OSError, urllib.error.HTTPError):
            return bool(urllib.request.urlopen(f"{url}/subjects", timeout=5).status == 200)  # noqa: S310 - ours
        return False

    with running([tool("java"), "-Xmx384m", "-jar", jar], folder / "registry.out", answers, **environment):
        yield url


@contextlib.contextmanager
def running(
    command: list[object], output: Path, answers: Callable[[], bool], **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it answers, and until the end of the block."""
    with output.open("ab") as out:
        process = subprocess.Popen(
            [str(part) for part in command], env=os.environ | environment, stdout=out, stderr=out
        )
    try:
        _wait_for(process, output, answers)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], output: Path, answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = output.read_text(errors="replace")[-2_000:]
            raise RuntimeError(f"{output.stem} did not start (exit status {process.poll()}):\n{tail}")
        time.sleep(0.1)


def free_port() -> int:
    """Port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
