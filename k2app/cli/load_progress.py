"""Progress of `k2 load`: a bar on a terminal, else a plain line on standard error every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.status import Status

from k2app.load.request import Phase, Report

PLAIN_INTERVAL_S = 5.0
"""Seconds between progress lines when the output is not a terminal."""


class Shown:
    """Hears how far a load is; remembers whether anything was sent."""

    def __init__(self) -> None:
        self.sending = False
        self._started = time.monotonic()
        self._phase: Phase | None = None

    def __call__(self, phase: Phase, rows: int, rejects: int, bytes_read: int) -> None:
        """Show rows and rejects so far, and bytes of the file read so far."""
        self.sending = phase == "sending"
        if phase != self._phase:
            # Of each pass its own rate.
            self._phase, self._started = phase, time.monotonic()
        rate = rows / max(time.monotonic() - self._started, 1e-3)
        self.show(f"{phase} {rows:,} rows, {rejects:,} rejected, {rate:,.0f} rows/s", bytes_read)

    def show(self, what: str, bytes_read: int) -> None:
        """Show a text."""
        raise NotImplementedError


class _Bar(Shown):
    def __init__(self, progress: Progress, task: TaskID) -> None:
        super().__init__()
        self._progress, self._task = progress, task

    def show(self, what: str, bytes_read: int) -> None:
        self._progress.update(self._task, completed=bytes_read, description=what)


class _Lines(Shown):
    def __init__(self, path: Path, size_bytes: int, console: Console) -> None:
        super().__init__()
        self._path, self._size = path, size_bytes
        self._line = _Line(console)

    def show(self, what: str, bytes_read: int) -> None:
        self._line(f"{self._path}: {what}, {bytes_read / max(self._size, 1):.0%}")


class _Line:
    """Prints one of the lines it gets every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console, self._told = console, time.monotonic()

    def __call__(self, line: str) -> None:
        if time.monotonic() - self._told >= PLAIN_INTERVAL_S:
            self._told = time.monotonic()
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)


@contextmanager
def loading(path: Path, console: Console) -> Iterator[Shown]:
    """Show how far the load of a file is."""
    size = path.stat().st_size
    if not console.is_terminal:
        yield _Lines(path, size, Console(stderr=True))
        return
    columns = (
        SpinnerColumn(),
        TextColumn(escape(path.name)),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, progress.add_task("reading", total=size))


@contextmanager
def waiting(console: Console, worker_alive: Callable[[], bool]) -> Iterator[Callable[[Report, int], None]]:
    """Show what the lake does not have yet."""

    def text(report: Report, left: int) -> str:
        nobody = "" if worker_alive() else "; no worker is running yet"
        return f"{report.path}: {left:,} offsets until the lake has it{nobody}"

    if not console.is_terminal:
        line = _Line(Console(stderr=True))
        yield lambda report, left: line(text(report, left))
        return
    with Status("waiting for the lake", console=console) as status:
        yield lambda report, left: status.update(escape(text(report, left)))
