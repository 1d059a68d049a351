"""The log: whether it answers, and has the topics that are configured."""

from __future__ import annotations

from collections.abc import Iterator

from k2app.market.topics import DataType
from k2app.operate.doctor.findings import Finding, failed, fine, warning
from k2app.stream.log_view import LogView
from k2app.stream.logs_by_url import Workers
from k2app.topology import Topics

PART = "log"


def look_at_log(log: LogView, served: Topics, url: str) -> Iterator[Finding]:
    """Say which log it is, and compare its topics with the configuration."""
    yield fine(PART, f"{url} answers (id {log.log_id})")
    yield from compare_topics(log, served)


def compare_topics(log: LogView, served: Topics) -> Iterator[Finding]:
    """Compare topics and partition counts with the configuration."""
    found = [topic for topic, _ in log.bounds(served.by_name)]
    expected = {
        name: exchange.topic_partitions(topic.data_type) for name, (topic, exchange) in served.by_name.items()
    }
    missing = [name for name in expected if name not in found]
    other = {name: found.count(name) for name in expected if found.count(name) not in (0, expected[name])}
    if missing:
        yield failed(PART, f"{_count(len(missing), 'topic')} missing: {', '.join(missing)}", "run `k2 init`")
    for name, count in other.items():
        yield failed(
            PART,
            f"topic {name} has {count} partitions, the configuration says {expected[name]}",
            "a partition count never changes: set it back in the exchanges file",
        )
    if not missing and not other:
        yield fine(PART, f"{_count(len(expected), 'topic')} with {sum(expected.values()):,} partitions")


def look_at_workers(found: Workers) -> Iterator[Finding]:
    """Say who ingests."""
    if found.count:
        yield fine(PART, f"{_count(found.count, 'worker')} on it")
    else:
        yield warning(PART, "no worker is on it", "nothing is ingested until `k2 worker` runs")


def ingested(served: Topics) -> list[str]:
    """Topics whose offsets the lake must have without a hole; compaction may take records of the others."""
    return [
        name for name, (topic, _) in served.by_name.items() if topic.data_type is not DataType.REFERENCE_DATA
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
