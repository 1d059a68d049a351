"""Kafka's administration: the cluster's identity, topics, who is in a consumer group.

Each call connects, asks and disconnects, on a thread and an event loop of its own: it can be used before Faust's loop
exists, and beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from k2app.errors import OperatorError
from k2app.stream.kafka_cluster import Cluster

ASK_WITHIN_S = 30.0
"""Seconds for one question to the cluster: far above what a healthy one takes."""

LOOK_S = 0.05
"""Seconds between looks for what brokers learn of one after the other, a new topic for example."""

BROKERS_CHOICE = -1
"""Replication factor: what the cluster is configured to give (Source: KIP-464)."""

KEEPING = ("cleanup.policy", "min.insync.replicas", "retention.ms")
"""Settings of a topic that say whether a record stays."""

T = TypeVar("T")


@dataclass(frozen=True)
class TopicKeeping:
    """How a topic keeps its records.

    Parameters
    ----------
    replicas
        Copies of the partition that has the fewest.
    min_insync
        Copies that must confirm before `acks=all` is met.
    compacted
        Whether only the newest record of a key stays.
    retention_ms
        Milliseconds after which records go; -1: never.
    """

    name: str
    replicas: int
    min_insync: int
    compacted: bool
    retention_ms: int


class KafkaAdmin:
    """Administration of one cluster.

    Raises
    ------
    TransientError
        From every method: the cluster does not answer.
    OperatorError
        From every method: it refuses the login, or its certificate is not trusted.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def cluster_id(self) -> str:
        """Identity of the cluster, given when its storage was formatted.

        Raises
        ------
        OperatorError
            It has none.
        """

        async def ask(admin: AIOKafkaAdminClient) -> str | None:
            found: str | None = (await admin.describe_cluster())["cluster_id"]
            return found

        cluster = self._ask(ask)
        if not cluster:
            raise OperatorError(f"{self.cluster.url} has no cluster id, without which offsets mean nothing")
        return cluster

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """Make a topic. False: it exists; its partition count must be the same.

        Raises
        ------
        OperatorError
            It exists with another number of partitions, or the cluster refuses it.
        """

        async def make(admin: AIOKafkaAdminClient) -> tuple[bool, int]:
            made = await _create(admin, name, partitions, compacted=compacted)
            return made, await _partitions(admin, name)

        made, found = self._ask(make)
        if found != partitions:
            raise OperatorError(
                f"topic {name} has {found} partitions, the configuration says {partitions}: "
                "a partition count never changes; set it back in the exchanges file"
            )
        return made

    def partition_counts(self, names: Sequence[str]) -> dict[str, int]:
        """Partitions of the topics `names`; a topic that is not there is left out."""

        async def ask(admin: AIOKafkaAdminClient) -> dict[str, int]:
            described: list[dict[str, Any]] = await admin.describe_topics(list(names))
            return {one["topic"]: len(one["partitions"]) for one in described if not one["error_code"]}

        return self._ask(ask) if names else {}

    def keeping(self, names: Sequence[str]) -> list[TopicKeeping]:
        """How the topics `names` keep their records; a topic that is not there is left out."""

        async def ask(admin: AIOKafkaAdminClient) -> list[TopicKeeping]:
            described: list[dict[str, Any]] = await admin.describe_topics(list(names))
            replicas = {
                one["topic"]: min(len(part["replicas"]) for part in one["partitions"])
                for one in described
                if not one["error_code"]
            }
            resources = [
                ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(KEEPING)) for name in replicas
            ]
            return [
                _keeping(one, replicas[one["resource_name"]])
                for answer in await admin.describe_configs(resources)
                for one in answer.to_object()["resources"]
                if not one["error_code"]
            ]

        return self._ask(ask) if names else []

    def broker_count(self) -> int:
        """How many brokers the cluster has."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            return len((await admin.describe_cluster())["brokers"])

        return self._ask(ask)

    def group_members(self, group: str) -> int:
        """How many consumers a group has."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            answers = await admin.describe_consumer_groups([group])
            return sum(len(described["members"]) for a in answers for described in a.to_object()["groups"])

        return self._ask(ask)

    def _ask(self, work: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
        with ThreadPoolExecutor(1, thread_name_prefix="kafka-admin") as threads:
            return threads.submit(asyncio.run, self._asked(work)).result()

    async def _asked(self, work: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.cluster.servers,
            request_timeout_ms=int(ASK_WITHIN_S * 1000),
            **self.cluster.access,
        )
        try:
            await admin.start()
            return await asyncio.wait_for(_until_answered(admin, work), ASK_WITHIN_S)
        except (KafkaError, TimeoutError) as error:
            raise await self.cluster.refusal(error) from error
        finally:
            await admin.close()


async def _until_answered(
    admin: AIOKafkaAdminClient, work: Callable[[AIOKafkaAdminClient], Awaitable[T]]
) -> T:
    """Ask again while brokers are electing: a new cluster has no group coordinator until somebody asks for one."""
    while True:
        try:
            return await work(admin)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(LOOK_S)


def _keeping(described: dict[str, Any], replicas: int) -> TopicKeeping:
    found = {entry["config_names"]: entry["config_value"] for entry in described["config_entries"]}
    return TopicKeeping(
        described["resource_name"],
        replicas,
        int(found["min.insync.replicas"]),
        "compact" in found["cleanup.policy"],
        int(found["retention.ms"]),
    )


async def _create(admin: AIOKafkaAdminClient, name: str, partitions: int, *, compacted: bool) -> bool:
    config = {"cleanup.policy": "compact"} if compacted else {}
    topic = NewTopic(name, partitions, BROKERS_CHOICE, {}, config)
    answer = (await admin.create_topics([topic])).to_object()["topic_errors"][0]
    code = answer["error_code"]
    if code == TopicAlreadyExistsError.errno:
        return False
    if code:
        error = for_code(code)
        if error.retriable:
            raise error(answer["error_message"])
        raise OperatorError(f"Kafka refuses topic {name}: {error.__name__}: {answer['error_message']}")
    return True


async def _partitions(admin: AIOKafkaAdminClient, name: str) -> int:
    deadline = time.monotonic() + ASK_WITHIN_S
    while True:
        described: dict[str, Any] = (await admin.describe_topics([name]))[0]
        if not described["error_code"]:
            return len(described["partitions"])
        if time.monotonic() > deadline:
            raise for_code(described["error_code"])(name)
        await asyncio.sleep(LOOK_S)
