"""`k2 status`: how log and lake stand, once or again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import typer
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from k2app.errors import TransientError
from k2app.load.reservations import Reservations
from k2app.operate.opening import looked_into
from k2app.operate.status import PartitionStatus, SpaceStatus, Status, TableStatus, read_status, to_json
from k2app.settings import Settings
from k2app.stream.logs_by_url import Workers

WATCH_S = 2.0
"""Seconds between two looks: a look at a large warehouse takes tenths of a second."""

WIDTH = 120
"""Columns of the page where the output is not a terminal."""


def show_status(settings: Settings, *, as_json: bool, watch: bool) -> None:
    """Print the status; with `watch` until Ctrl-C.

    Raises
    ------
    OperatorError
        There is no log or lake yet.
    """
    with looked_into(settings) as found:
        reservations = Reservations(found.catalog, settings)

        def look() -> Status:
            return read_status(found, reservations, datetime.now(UTC))

        console = Console() if Console().is_terminal else Console(width=WIDTH)
        if not watch:
            _print(console, look(), as_json=as_json)
            return
        _watch(console, look, as_json=as_json)


def _print(console: Console, status: Status, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(to_json(status)))
    else:
        console.print(page(status))


def _watch(console: Console, look: Callable[[], Status], *, as_json: bool) -> None:
    if as_json or not console.is_terminal:
        while True:
            _print(console, look(), as_json=as_json)
            time.sleep(WATCH_S)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            try:
                live.update(page(look()), refresh=True)
            except TransientError as error:
                live.update(Text(str(error), style="yellow"), refresh=True)
            time.sleep(WATCH_S)


def page(status: Status) -> RenderableType:
    """The status as tables, at most 120 columns wide."""
    return Group(
        _head(status),
        Text(),
        _partitions(status.partitions),
        Text(),
        _tables(status.tables),
        Text(),
        _foot(status),
    )


def _head(status: Status) -> Text:
    lag = (
        "everything is in the lake"
        if not status.lag_rows
        else f"{status.lag_rows:,} rows are not in the lake yet"
    )
    head = f"{status.home} at {status.at:%Y-%m-%d %H:%M:%S} UTC\n{_workers(status.workers)} · {lag}"
    return Text(head, overflow="fold")


def _workers(workers: Workers) -> str:
    if not workers.count:
        return "no worker is running"
    if workers.process:
        return f"worker: process {workers.process}"
    return "1 worker is running" if workers.count == 1 else f"{workers.count:,} workers are running"


def _partitions(partitions: list[PartitionStatus]) -> RenderableType:
    used = [part for part in partitions if part.end]
    table = _table(
        "topic", "p", "log start", "log end", "in lake", "lag", "lag age", "states", left=("topic", "states")
    )
    for part in used:
        table.add_row(
            part.topic,
            str(part.partition),
            f"{part.start:,}",
            f"{part.end:,}",
            f"{part.floor:,}",
            f"{part.lag_rows:,}",
            _age(part.lag_s) if part.lag_rows else "",
            part.state if part.state in ("", "none", "current") else f"{part.state} ({part.watermark:,})",
        )
    empty = len(partitions) - len(used)
    return Group(table, Text(f"{empty} partitions hold nothing", style="dim")) if empty else table


def _tables(tables: list[TableStatus]) -> Table:
    table = _table("table", "rows", "files", "size", "snapshots", "last commit", left=("table",))
    for one in tables:
        table.add_row(
            one.table,
            f"{one.rows:,}",
            f"{one.data_files:,}",
            decimal(one.size_bytes),
            f"{one.snapshots:,}",
            "" if one.last_commit is None else f"{one.last_commit:%Y-%m-%d %H:%M:%S}",
        )
    return table


def _foot(status: Status) -> Text:
    space = status.space
    warehouse = "elsewhere" if space.warehouse_bytes is None else decimal(space.warehouse_bytes)
    loads = ", ".join(f"{count:,} {state}" for state, count in status.loads.items() if count) or "none"
    return Text(
        f"on disk: log {_log(space)}, warehouse {warehouse}, state {decimal(space.state_bytes)}\n"
        f"loads: {loads} · {status.rejects:,} rows rejected · {status.dead_letters:,} dead letters"
    )


def _log(space: SpaceStatus) -> str:
    if space.log_bytes is None:
        return "on Kafka"
    return f"{decimal(space.log_bytes)} ({decimal(space.log_free_bytes or 0)} free)"


def _table(*columns: str, left: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    return table


def _age(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
