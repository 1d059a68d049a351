"""`k2 rebuild-state`: verify the stored sequence states against the lake, and drop them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from k2app.operate.opening import Opened, opened
from k2app.operate.rebuild import Rebuilt, drop, selected, verify
from k2app.settings import Settings
from k2app.stream.log_space import LogSpace
from k2app.stream.worker_lock import WorkerLock

ON_KAFKA = (
    "stop every worker, delete the topics GROUP-TOPIC-sequences-changelog (kafka-topics --delete) and each worker's "
    "folder K2_HOME/state: the next workers rebuild them from the lake"
)
"""What is said where the log is Kafka."""

WIDTH = 120
"""Columns of the page where the output is not a terminal."""


def rebuild_states(settings: Settings, topic: str | None, partition: int | None, *, dry_run: bool) -> None:
    """Verify partitions, one line each, then drop what is stored of them.

    Raises
    ------
    OperatorError
        A worker is running, or there is no such partition.
    """
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    with opened(settings, ON_KAFKA) as found, _no_worker(found):
        places = selected(found, topic, partition)
        rebuilt = [verify(found, *place) for place in places]
        if not dry_run:
            for place in places:
                drop(found, *place)
    _print(rebuilt, console)
    what = (
        "nothing was changed (dry run)" if dry_run else "dropped; the next worker rebuilds them from the lake"
    )
    console.print(f"sequence states of {len(places)} partitions: {what}", soft_wrap=True, highlight=False)


@contextmanager
def _no_worker(found: Opened[LogSpace]) -> Iterator[None]:
    """Keep workers away while the states change hands."""
    lock = WorkerLock(found.log.path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _print(rebuilt: list[Rebuilt], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("topic", overflow="fold")
    for name in ("p", "in lake", "rows folded", "states"):
        table.add_column(name, justify="right")
    table.add_column("stored before")
    used = [one for one in rebuilt if one.floor or one.stored != "none"]
    for one in used:
        numbers = (f"{number:,}" for number in (one.partition, one.floor, one.rows, one.states))
        table.add_row(one.topic, *numbers, one.stored)
    if used:
        console.print(table)
