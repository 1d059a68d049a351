"""Changelogs of Faust's tables: topics whose last value per key counts."""

from __future__ import annotations

from typing import NamedTuple

from k2app.stream.log_file import LogFile

CHANGELOG_FETCH_ROWS = 4_096
"""Records of a changelog read at once: Faust handles them one by one."""

CHANGELOG_FETCH_BYTES = 4 * 1024 * 1024
"""Bytes of a changelog read at once."""

CHANGELOG_SUFFIX = "-changelog"
"""Ending of the names that Faust gives to changelog topics."""


class ChangelogRecord(NamedTuple):
    """One record, as Faust takes it."""

    offset: int
    timestamp_us: int
    key: bytes | None
    value: bytes | None


def compact_changelogs(log: LogFile) -> None:
    """Keep the last value per key of every changelog."""
    for topic in log.topics():
        if topic.compacted and topic.name.endswith(CHANGELOG_SUFFIX):
            for (name, partition), (_, end) in log.bounds([topic.name]).items():
                log.compact(name, partition, end)


def read_changelog(
    log: LogFile, topic: str, partition: int, offset: int
) -> tuple[list[ChangelogRecord], int]:
    """Records of one partition from `offset` on, and the offset after them; none, and `offset`, at its end."""
    batch = log.read(topic, partition, offset, max_rows=CHANGELOG_FETCH_ROWS, max_bytes=CHANGELOG_FETCH_BYTES)
    if batch is None:
        return [], offset
    records = [
        ChangelogRecord(int(batch.offsets[i]), int(batch.times_us[i]), batch.key(i), batch.value(i))
        for i in range(len(batch))
    ]
    return records, batch.next_offset
