"""Rebuilding sequence states by hand: verify the stored ones against the lake, then drop them.

The states are a cache of the lake. A worker that finds none rebuilds them from the lake's rows before it reads on, so
dropping is all there is to do: there is one way to rebuild, and it is the worker's. Verifying makes the same states
here, and says whether the stored ones were wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from k2app.errors import OperatorError
from k2app.ingest.rows import Source
from k2app.ingest.states import Watermark, fold, judge
from k2app.lake.catalog import load
from k2app.lake.history import rows_between
from k2app.lake.tables import Name
from k2app.market.sequence_keys import SEPARATOR
from k2app.market.sequence_rules import CONTINUOUS_SCOPE
from k2app.market.sequence_states import States
from k2app.market.topics import DataType
from k2app.operate.changelogs import changelog_of, stored_states
from k2app.operate.opening import Opened
from k2app.settings import Settings
from k2app.stream.log_space import LogSpace
from k2app.topology import reader_schema


@dataclass(frozen=True)
class Rebuilt:
    """One partition.

    Parameters
    ----------
    floor
        Where the lake ends.
    rows
        Rows of the lake that were checked again.
    states
        States that they make: one for each symbol and scope.
    stored
        What was stored before: `agrees` (with the lake, up to its own watermark), `differs`, `unusable` (no watermark,
        damaged, of another log or lake, or ahead of the lake), `none`.
    """

    topic: str
    partition: int
    floor: int
    rows: int
    states: int
    stored: str


def selected(opened: Opened[LogSpace], topic: str | None, partition: int | None) -> list[tuple[str, int]]:
    """Partitions that have sequence states: all, or those asked for.

    Raises
    ------
    OperatorError
        There is no such topic or partition with states.
    """
    sequenced = [
        name for name, (t, _) in opened.served.by_name.items() if t.data_type is not DataType.REFERENCE_DATA
    ]
    if topic is not None and topic not in sequenced:
        raise OperatorError(f"{topic} is no topic with sequence states; there are {', '.join(sequenced)}")
    found = [
        place
        for place in sorted(opened.log.bounds(sequenced if topic is None else [topic]))
        if partition is None or place[1] == partition
    ]
    if not found:
        raise OperatorError(f"no topic asked for has a partition {partition}")
    return found


def verify(opened: Opened[LogSpace], topic: str, partition: int) -> Rebuilt:
    """Make the states of one partition from the lake, and compare the stored ones. Writes nothing.

    Raises
    ------
    TransientError
        Catalog or warehouse do not answer.
    """
    found, exchange = opened.served.by_name[topic]
    source = Source(found, exchange, reader_schema(found.data_type), opened.settings.state.max_open_gaps)
    table = load(opened.catalog, opened.settings, Name(found.data_type.value))
    floors = opened.floors()
    floor = floors[topic, partition].next_offset if (topic, partition) in floors else 0
    stored, mark = stored_states(opened.log, changelog_of(opened.settings.consumer_group, topic), partition)
    verdict = judge(stored, mark, opened.log.log_id, str(table.metadata.table_uuid), floor)
    middle = mark.next_offset if mark is not None and verdict != "wrong" else floor
    count = _Counted()

    def fold_on(states: States, start: int, end: int) -> States:
        rows = rows_between(table, opened.log.log_id, topic, partition, start, end)
        return fold(states, count(rows), source)

    there = fold_on(States.empty(), 0, middle)
    agrees = verdict != "wrong" and agree(stored, there, opened.settings.state.keep_days)
    states = fold_on(there, middle, floor)
    return Rebuilt(
        topic, partition, floor, count.rows, len(states), _said(stored, mark, verdict, agrees=agrees)
    )


class _Counted:
    """Counts the rows that pass through."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            self.rows += table.num_rows
            yield table


def _said(stored: States, mark: Watermark | None, verdict: str, *, agrees: bool) -> str:
    if mark is None and not len(stored):
        return "none"
    if verdict == "wrong":
        return "unusable"
    return "agrees" if agrees else "differs"


def agree(stored: States, made: States, keep_days: int) -> bool:
    """Whether stored states are those that the lake's rows make, evicted ones aside.

    Parameters
    ----------
    keep_days
        Days after which the states of a trading date may have been evicted, counted from the newest date.
    """
    mine, lakes = stored.to_primitives(), made.to_primitives()
    if any(lakes.get(key) != value for key, value in mine.items()):
        return False
    newest = max(map(_scope, lakes), default=CONTINUOUS_SCOPE)
    missing = {_scope(key) for key in lakes.keys() - mine.keys()}
    return all(scope != CONTINUOUS_SCOPE and scope < newest - keep_days for scope in missing)


def _scope(key: str) -> int:
    return int(key.partition(SEPARATOR)[0])


def drop(opened: Opened[LogSpace], topic: str, partition: int) -> None:
    """Drop what is stored of one partition: its changelog, and its RocksDB. Idempotent.

    The caller holds the worker lock. The changelog goes first: a RocksDB without one is stale by its watermark at
    worst, a changelog without its RocksDB would bring everything back.
    """
    changelog = changelog_of(opened.settings.consumer_group, topic)
    if opened.log.topic(changelog) is not None:
        opened.log.trim(changelog, partition, opened.log.bounds([changelog])[changelog, partition][1])
    for folder in state_folders(opened.settings, opened.log.log_id, topic, partition):
        shutil.rmtree(folder)


def state_folders(settings: Settings, log_id: str, topic: str, partition: int) -> list[Path]:
    """RocksDB folders of one partition of a topic's sequence table."""
    name = f"{topic}-sequences-{partition}.db"
    return sorted((settings.state_dir / log_id).glob(f"**/{name}"))
