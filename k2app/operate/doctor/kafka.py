"""Kafka's topics: whether they keep records until the lake has them, and when a broker is lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from k2app.market.topics import DataType
from k2app.operate.doctor.findings import Finding, failed, fine, warning
from k2app.operate.doctor.log import PART
from k2app.stream.kafka_admin import TopicKeeping
from k2app.topology import Topics

SHORT_MS = 24 * 3_600_000
"""Retention below which a worker that was down for a day finds a hole."""


def look_at_keeping(topics: Iterable[TopicKeeping], brokers: int, served: Topics) -> Iterator[Finding]:
    """Say which topics may lose records; one finding if none does."""
    found = [finding for topic in topics for finding in _topic(topic, brokers, served)]
    yield from found or [fine(PART, f"topics keep their records; {brokers:,} brokers")]


def _topic(topic: TopicKeeping, brokers: int, served: Topics) -> Iterator[Finding]:
    reference = served.by_name[topic.name][0].data_type is DataType.REFERENCE_DATA
    if topic.compacted and not reference:
        yield failed(
            PART,
            f"topic {topic.name} is compacted: of each symbol only the newest record stays",
            "set cleanup.policy=delete on it",
        )
    if 0 <= topic.retention_ms < SHORT_MS and not topic.compacted:
        yield warning(
            PART,
            f"topic {topic.name} keeps records for {topic.retention_ms / 3_600_000:g} h",
            "raise retention.ms: what goes before the lake has it is a hole",
        )
    if brokers > 1 and topic.replicas == 1:
        yield warning(
            PART,
            f"topic {topic.name} has one copy on {brokers} brokers: lost with its broker",
            "give it replicas (kafka-reassign-partitions)",
        )
    elif topic.replicas > 1 and topic.min_insync == 1:
        yield warning(
            PART,
            f"topic {topic.name} confirms what one of its {topic.replicas} copies has",
            "set min.insync.replicas=2 on it",
        )
