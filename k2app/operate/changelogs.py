"""Sequence states as the log's changelogs hold them: readable beside a running worker, and without one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from k2app.ingest.states import Watermark
from k2app.market.sequence_states import States
from k2app.stream.log_view import LogView
from tables.watermarks import WATERMARK_KEY, watermark_from_json


def changelog_of(consumer_group: str, topic: str) -> str:
    """Name of the changelog of a topic's sequence table, as Faust makes it."""
    return f"{consumer_group}-{topic}-sequences-changelog"


def last_watermark(log: LogView, changelog: str, partition: int) -> Watermark | None:
    """The newest watermark of one partition. It is written last, so few records are read."""
    found = log.newest(changelog, partition, WATERMARK_KEY)
    return None if found is None else watermark_from_json(found)


def stored_states(log: LogView, changelog: str, partition: int) -> tuple[States, Watermark | None]:
    """States and watermark of one partition, as a worker would recover them."""
    latest = dict(log.records(changelog, partition))
    mark = latest.pop(WATERMARK_KEY, None)
    primitives: dict[str, Sequence[Any]] = {
        json.loads(key): json.loads(value) for key, value in latest.items() if key and value is not None
    }
    return States.from_primitives(primitives), None if mark is None else watermark_from_json(mark)
