"""`k2 load`: parse the options, load each file, show progress, print what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from k2app import topology
from k2app.cli.ending import interrupted
from k2app.cli.load_progress import loading, waiting
from k2app.errors import OperatorError
from k2app.lake.catalog import open_catalog
from k2app.load import profiles, symbols
from k2app.load.job import Loader
from k2app.load.load_metrics import LoadMeasures
from k2app.load.profiles import Profile, SequenceMode
from k2app.load.reader import Context, read
from k2app.load.request import Report, Request
from k2app.load.reservations import Reservations
from k2app.load.sources import open_source
from k2app.load.waiting import Wait, wait_for
from k2app.market.exchanges import Exchange
from k2app.market.topics import DataType
from k2app.settings import Settings
from k2app.stream.logs_by_url import open_log, worker_alive
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry

SHOWN_RATE_S = 1.0
"""Seconds from which on a load's rate means something: below, it is start-up."""

EARLIER = {
    "reserved": "begun before and not finished",
    "sent": "loaded before",
    "failed": "begun before and broken off",
    "retracted": "loaded before and retracted",
}
"""What is said of an earlier load of the same file, by its state."""


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


def load_files(settings: Settings, options: Options, console: Console) -> None:
    """Load the files one after the other, and print a line of each as soon as it is loaded.

    Raises
    ------
    OperatorError
        One sentence says which file and why; files before it are loaded.
    typer.Exit
        Interrupted: a line on standard error says what to do.
    """
    served = topology.topics(settings)
    requests = _requests(options, served, settings)
    with _loader(settings, served) as loader:
        measures = LoadMeasures(settings.load.metrics_file)
        reports = [_load_one(loader, request, console, measures) for request in requests]
        if len(reports) > 1:
            _say(console, _total(reports))
        if options.wait and not options.dry_run:
            _wait(settings, loader, reports, console)


@contextmanager
def _loader(settings: Settings, served: topology.Topics) -> Iterator[Loader]:
    log = open_log(settings)
    with closing(log.publisher()) as publisher, closing(open_catalog(settings)) as catalog:
        made = topology.initialise(settings, served, log, open_registry(settings, log.file), catalog)

        def outlet(exchange: Exchange, data_type: DataType) -> Outlet:
            topic, _ = served.topic(exchange.name, data_type)
            key = "company_id" if data_type is DataType.REFERENCE_DATA else "symbol"
            return Outlet(topic.name, key, topology.reader_schema(data_type), made.subjects[topic.subject])

        yield Loader(settings, Reservations(catalog, settings), publisher, outlet, _now_us)


def _requests(options: Options, served: topology.Topics, settings: Settings) -> list[Request]:
    """Requests for all files; what is wrong with one is found before the first is loaded."""
    profile = profiles.load(options.profile)
    exchange = _exchange(options, profile, served)
    mode = profile.shape(options.data_type).sequence_mode(options.sequence)
    _check_numbering(mode, exchange, options.data_type)
    known = _reference(options, profile, exchange, settings)
    requests = []
    for path in options.files:
        _check_readable(path)
        requests.append(
            Request(
                path,
                exchange,
                options.data_type,
                profile,
                _symbol(path, options, profile, known),
                mode,
                options.limit,
                options.strict,
                options.again,
                options.dry_run,
                options.rejects,
            )
        )
    return requests


def _exchange(options: Options, profile: Profile, served: topology.Topics) -> Exchange:
    name = options.exchange or profile.exchange
    if name is None:
        raise OperatorError(
            f"profile {profile.name} does not say whose files these are: give --exchange NAME"
        )
    return served.topic(name, options.data_type)[1]


def _check_numbering(mode: SequenceMode, exchange: Exchange, data_type: DataType) -> None:
    rule = exchange.rule(data_type)
    if mode == "assign" and (rule.kind == "none" or rule.scope != "trading_date"):
        raise OperatorError(
            f"--sequence assign numbers every trading date from 1, and {data_type} of exchange {exchange.name} are "
            f"numbered otherwise ({rule.text()}): give --sequence source or none"
        )


def _check_readable(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OperatorError(f"{path} is not a file on a disk: files are read twice; save it first")
    with open_source(path):
        pass


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


def _load_one(loader: Loader, request: Request, console: Console, measures: LoadMeasures) -> Report:
    started = time.perf_counter()
    try:
        with measures.counting(request) as reports, loading(request.path, console) as shown:
            report = loader.load(request, shown)
            reports.append(report)
    except KeyboardInterrupt:
        raise interrupted("k2", _after_interrupt(request, sending=shown.sending)) from None
    report.took_s = time.perf_counter() - started
    for line in _lines(report, dry_run=request.dry_run):
        _say(console, line)
    return report


def _wait(settings: Settings, loader: Loader, reports: list[Report], console: Console) -> None:
    alive = partial(worker_alive, settings)
    with waiting(console, alive) as shown:
        catalog, log_id = loader.reservations.catalog, loader.publisher.log_id
        wait = Wait(settings, catalog, log_id, alive, shown)
        try:
            for report in reports:
                wait_for(wait, report)
                _say(console, _in_lake(report))
        except KeyboardInterrupt:
            raise interrupted("k2", "everything is on the log; the worker takes it from there") from None


def _after_interrupt(request: Request, *, sending: bool) -> str:
    if not sending or request.dry_run:
        return f"nothing of {request.path} was sent"
    if request.sequence == "none":
        return f"{request.path} was sent in part; load it again to learn how to take that back"
    return f"{request.path} was sent in part: load it again for the rest"


def _lines(report: Report, *, dry_run: bool) -> Iterator[str]:
    what = f"{report.rows:,} rows, {report.rejects:,} rejected"
    rate = f", {report.rows / report.took_s:,.0f} rows/s" if report.took_s >= SHOWN_RATE_S else ""
    end = "nothing was sent (dry run)" if dry_run else f"load {report.load_id}"
    yield f"{report.path}: {what}{rate}, {end}"
    for note in _notes(report):
        yield f"  {note}"


def _notes(report: Report) -> Iterator[str]:
    if report.rejects_file is not None:
        yield f"rejects: {_short(report.rejects_file)}"
    if report.ambiguous:
        what = "row has a local time" if report.ambiguous == 1 else "rows have local times"
        yield f"{report.ambiguous:,} {what} that came twice (daylight saving ended); the first was taken"
    if report.earlier is not None:
        how = EARLIER[report.earlier.state]
        yield f"{how}, {report.earlier.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load {report.earlier.load_id})"
    if report.continued:
        key, others = report.continued[0], len(report.continued) - 1
        more = f" and {others:,} more" if others else ""
        yield f"{key.named()}{more}: rows of another file came before; numbered from {report.numbers[key].first:,} on"


def _total(reports: list[Report]) -> str:
    rows, rejects = sum(one.rows for one in reports), sum(one.rejects for one in reports)
    return f"{len(reports)} files: {rows:,} rows, {rejects:,} rejected"


def _in_lake(report: Report) -> str:
    counts = ", ".join(f"{flag} {count:,}" for flag, count in sorted(report.flags.items()))
    missing = report.rows - sum(report.flags.values())
    dead = f"; {missing:,} in the dead letters" if missing else ""
    return f"{report.path}: in the lake: {counts or 'no rows'}{dead}"


def _short(path: Path) -> Path:
    """The path as seen from here, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def _now_us() -> int:
    return time.time_ns() // 1_000
