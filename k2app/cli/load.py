"""`k2 load`: parse the options, load each file, show progress, print what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from k2app import topology
from k2app.errors import OperatorError
from k2app.lake.catalog import open_catalog
from k2app.load import profiles, symbols
from k2app.load.job import Loader, Phase, Report, Request
from k2app.load.profiles import Profile, SequenceMode
from k2app.load.reader import Context, read
from k2app.load.waiting import Wait, wait_for
from k2app.market.exchanges import Exchange
from k2app.market.topics import DataType
from k2app.settings import Settings
from k2app.stream.embedded import WorkerLock, log_path
from k2app.stream.log_file import LogFile
from k2app.stream.publisher import EmbeddedPublisher, Outlet
from k2app.stream.registry import open_registry

PLAIN_INTERVAL_S = 5.0
"""Seconds between progress lines when the output is not a terminal."""


@dataclass(frozen=True)
class Options:
    """Options of the command, as given."""

    files: list[Path]
    exchange: str | None
    data_type: DataType
    profile: str
    symbol: str | None
    reference: Path | None
    sequence: SequenceMode | None
    rejects: Path | None
    limit: int | None
    dry_run: bool
    strict: bool
    again: bool
    wait: bool


def run(settings: Settings, options: Options, console: Console) -> None:
    """Load the files one after the other.

    Raises
    ------
    OperatorError
        One sentence says which file and why; files before it are loaded.
    """
    profile = profiles.load(options.profile)
    with _loader(settings) as (loader, served):
        exchange = _exchange(options, profile, served)
        requests = _requests(options, profile, exchange, settings)
        reports = [_load_one(loader, request, console) for request in requests]
    if options.wait and not options.dry_run:
        _wait(settings, loader, reports)
    _print(reports, console, dry_run=options.dry_run)


@contextmanager
def _loader(settings: Settings) -> Iterator[tuple[Loader, topology.Topics]]:
    served = topology.topics(settings)
    log = LogFile(log_path(settings.log_url), synchronous=settings.log.synchronous)
    catalog = open_catalog(settings)
    made = topology.initialise(settings, served, log, open_registry(settings, log), catalog)

    def outlet(exchange: Exchange, data_type: DataType) -> Outlet:
        topic, _ = served.topic(exchange.name, data_type)
        key = "company_id" if data_type is DataType.REFERENCE_DATA else "symbol"
        return Outlet(topic.name, key, topology.reader_schema(data_type), made.subjects[topic.subject])

    publisher = EmbeddedPublisher(log)
    try:
        yield Loader(settings, catalog, publisher, outlet, _now_us), served
    finally:
        publisher.close()


def _exchange(options: Options, profile: Profile, served: topology.Topics) -> Exchange:
    name = options.exchange or profile.exchange
    if name is None:
        raise OperatorError(
            f"profile {profile.name} does not say whose files these are: give --exchange NAME"
        )
    return served.topic(name, options.data_type)[1]


def _requests(options: Options, profile: Profile, exchange: Exchange, settings: Settings) -> list[Request]:
    """Requests for all files; what is wrong with one is found before the first is loaded."""
    shape = profile.shape(options.data_type)
    known = _reference(options, profile, exchange, settings)
    return [
        Request(
            path,
            exchange,
            options.data_type,
            profile,
            _symbol(path, options, profile, known),
            shape.sequence_mode(options.sequence),
            options.limit,
            options.strict,
            options.again,
            options.dry_run,
            options.rejects,
        )
        for path in options.files
    ]


def _symbol(path: Path, options: Options, profile: Profile, known: symbols.Reference | None) -> str | None:
    if options.data_type is DataType.REFERENCE_DATA:
        return None
    return symbols.resolve(path, profile.shape(options.data_type), options.symbol, known)


def _reference(
    options: Options, profile: Profile, exchange: Exchange, settings: Settings
) -> symbols.Reference | None:
    if options.reference is None:
        return None
    context = Context(exchange, "", _now_us(), None, "none", settings.load.block_bytes)
    blocks = read(options.reference, profile, DataType.REFERENCE_DATA, context)
    return symbols.reference(options.reference, blocks)


def _load_one(loader: Loader, request: Request, console: Console) -> Report:
    started = time.perf_counter()
    with _progress(request.path, console) as shown:
        report = loader.load(request, shown)
    report.took_s = time.perf_counter() - started
    return report


class _Bar:
    """Progress on a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task, self._started = progress, task, time.monotonic()

    def __call__(self, phase: Phase, rows: int, rejects: int, bytes_read: int) -> None:
        rate = rows / max(time.monotonic() - self._started, 1e-3)
        what = f"{phase} {rows:,} rows, {rejects:,} rejected, {rate:,.0f} rows/s"
        self._progress.update(self._task, completed=bytes_read, description=what)


class _Lines:
    """Progress as plain lines, one every few seconds."""

    def __init__(self, path: Path, size_bytes: int, console: Console) -> None:
        self._path, self._size, self._console = path, size_bytes, console
        self._started = self._told = time.monotonic()

    def __call__(self, phase: Phase, rows: int, rejects: int, bytes_read: int) -> None:
        now = time.monotonic()
        if now - self._told < PLAIN_INTERVAL_S:
            return
        self._told = now
        rate, share = rows / (now - self._started), bytes_read / max(self._size, 1)
        self._console.print(
            f"{self._path}: {phase} {rows:,} rows, {rejects:,} rejected, {rate:,.0f} rows/s, {share:.0%}",
            soft_wrap=True,
        )


@contextmanager
def _progress(path: Path, console: Console) -> Iterator[_Bar | _Lines]:
    size = path.stat().st_size if path.is_file() else 0
    if not console.is_terminal:
        yield _Lines(path, size, Console(stderr=True))
        return
    columns = (
        SpinnerColumn(),
        TextColumn(path.name),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, progress.add_task("", total=size))


def _wait(settings: Settings, loader: Loader, reports: list[Report]) -> None:
    lock = WorkerLock(log_path(settings.log_url))
    wait = Wait(settings, loader.catalog, loader.publisher.log_id, lock.held_by_another)
    for report in reports:
        wait_for(wait, report)


def _print(reports: Iterable[Report], console: Console, *, dry_run: bool) -> None:
    for report in reports:
        load = "would be loaded" if dry_run else f"load {report.load_id}"
        rate = report.rows / max(report.took_s, 1e-3)
        console.print(
            f"{report.path}: {report.rows:,} rows, {report.rejects:,} rejected, {rate:,.0f} rows/s, {load}",
            soft_wrap=True,
            highlight=False,
        )
        for note in _notes(report):
            console.print(f"  {note}", soft_wrap=True, highlight=False)


def _notes(report: Report) -> Iterator[str]:
    if report.flags:
        counts = ", ".join(f"{flag} {count:,}" for flag, count in sorted(report.flags.items()))
        yield f"in the lake: {counts}"
    if report.earlier is not None:
        yield f"loaded before at {report.earlier.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load {report.earlier.load_id})"
    if report.ambiguous:
        yield f"{report.ambiguous:,} local times came twice (daylight saving ended); the first was taken"
    if report.rejects_file is not None:
        yield f"rejects: {report.rejects_file}"


def _now_us() -> int:
    return time.time_ns() // 1_000
