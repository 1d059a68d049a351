"""A Kafka of three brokers, each its own controller too: what one holds, two others have."""

import contextlib
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from k2app.stream.kafka_admin import KafkaAdmin
from k2app.stream.kafka_cluster import Cluster
from tests.services import servers
from tests.services.servers import Listener, free_port, listener_properties

BROKERS = (1, 2, 3)

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}
log.dirs={folder}/data
num.partitions=1
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
"""


@dataclass
class ThreeBrokers:
    """A running cluster."""

    url: str
    folders: dict[int, Path]
    stacks: dict[int, ExitStack]

    def stop(self, node: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End one broker."""
        servers.stop_kafka(self.folders[node], how)
        self.stacks.pop(node).close()

    def start(self, node: int) -> None:
        """Start it again, with what it had."""
        self.stacks[node] = ExitStack()
        self.stacks[node].enter_context(servers.kafka_again(self.folders[node]))

    def partitions(self, topic: str) -> list[dict]:
        """Leader, replicas and replicas in sync of each partition."""
        (described,) = self.asked(lambda admin: admin.describe_topics([topic]))
        return described["partitions"]

    def whole(self, topics: list[str]) -> bool:
        """Whether every partition has all its replicas in sync."""
        return all(len(part["isr"]) == len(BROKERS) for topic in topics for part in self.partitions(topic))

    def coordinator(self, group: str) -> int:
        """Broker that leads a consumer group."""
        return self.asked(lambda admin: admin.find_coordinator(group))

    def asked(self, work):
        return KafkaAdmin(Cluster(self.url, re.findall(r"[\d.]+:\d+", self.url)))._ask(work)


@contextlib.contextmanager
def three_brokers(folder: Path) -> Iterator[ThreeBrokers]:
    """Run the cluster, with a fresh id."""
    ports, controllers = ({node: free_port() for node in BROKERS} for _ in range(2))
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in controllers.items())
    folders = {node: folder / f"broker-{node}" for node in BROKERS}
    cluster_id = servers.new_cluster_id()
    for node, home in folders.items():
        home.mkdir(parents=True)
        listeners = listener_properties([Listener("PLAINTEXT", "PLAINTEXT", ports[node])])
        properties = PROPERTIES.format(
            node=node, voters=voters, controller=controllers[node], folder=home, **listeners
        )
        (home / "server.properties").write_text(properties)
        servers.format_storage(home, cluster_id)
    url = "kafka://" + ",".join(f"127.0.0.1:{port}" for port in ports.values())
    found = ThreeBrokers(url, folders, {})
    try:
        # Together: none of them answers before two of them run.
        with ThreadPoolExecutor(len(BROKERS)) as threads:
            list(threads.map(found.start, BROKERS))
        yield found
    finally:
        for stack in found.stacks.values():
            stack.close()
