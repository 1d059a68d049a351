"""`k2 redrive`: send dead letters again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from k2app import topology
from k2app.errors import OperatorError, RequestError
from k2app.ingest.schema_cache import SchemaCache
from k2app.load.reservations import Reservations
from k2app.market.topics import DataType
from k2app.operate.letters import Letter, Selection
from k2app.operate.opening import opened_lake
from k2app.operate.redrive import Redriver, Report
from k2app.query.times import parse_time
from k2app.settings import Settings
from k2app.stream.logs_by_url import open_log
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry

SHOWN = 20
"""Letters of a kind that are listed one by one; `--output json` has them all."""

_LETTER = re.compile(r"([^/\s]+)/(\d{1,10})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True)
class Options:
    """Options of the command, as given."""

    letters: list[str]
    topic: str | None
    since: str | None
    reason: str | None
    file: Path | None
    again: bool
    dry_run: bool
    as_json: bool


def redrive_letters(settings: Settings, options: Options, console: Console) -> bool:
    """Send dead letters again, and print what became of each; False: none of them could be sent.

    Raises
    ------
    OperatorError
        No letters were chosen, or there are no such.
    """
    asked = selection(options)
    corrected = None if options.file is None else _bytes(options.file)
    with _redriver(settings) as redriver:
        report = redriver.redrive(asked, corrected, dry_run=options.dry_run)
    if options.as_json:
        typer.echo(json.dumps(to_json(report, dry_run=options.dry_run)))
    else:
        for line in _lines(report, dry_run=options.dry_run):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    return bool(report.sent) or not report.refused


def selection(options: Options) -> Selection:
    """Which letters the options choose.

    Raises
    ------
    OperatorError
        None of them says which, or one cannot be read.
    """
    if not (options.letters or options.topic or options.since or options.reason):
        raise OperatorError("say which dead letters: TOPIC/PARTITION/OFFSET, --topic, --since or --reason")
    places = frozenset(map(_place, options.letters))
    return Selection(places, options.topic, _since_us(options.since), options.reason, options.again)


def to_json(report: Report, *, dry_run: bool) -> dict[str, Any]:
    """What became of the letters."""
    key = "topic" if dry_run else "load_id"
    return {
        "dry_run": dry_run,
        "sent": [{key: name, "letters": list(map(_named, letters))} for name, letters in report.sent.items()],
        "refused": [{"letter": _named(letter), "reason": reason} for letter, reason in report.refused],
        "sent_before": [{"letter": _named(letter), "load_id": load_id} for letter, load_id in report.before],
    }


@contextmanager
def _redriver(settings: Settings) -> Iterator[Redriver]:
    served = topology.topics(settings)
    # The lake first: opening a log that is not there would make one.
    with opened_lake(settings) as catalog:
        log = open_log(settings)
        with closing(log.publisher()) as publisher:
            registry = open_registry(settings, log.file)
            made = topology.initialise(settings, served, log, registry, catalog)

            def outlet(name: str) -> Outlet:
                topic, _ = served.by_name[name]
                key = "company_id" if topic.data_type is DataType.REFERENCE_DATA else "symbol"
                return Outlet(
                    name, key, topology.reader_schema(topic.data_type), made.subjects[topic.subject]
                )

            yield Redriver(
                catalog,
                settings,
                served,
                SchemaCache(registry),
                publisher,
                outlet,
                Reservations(catalog, settings),
                lambda: datetime.now(UTC),
            )


def _lines(report: Report, *, dry_run: bool) -> Iterator[str]:
    for name, letters in report.sent.items():
        what = _count(letters)
        where = f"would be sent to {name}" if dry_run else f"sent to {letters[0].place.topic}, load {name}"
        yield f"{what} {where}: {_listed([_named(letter) for letter in letters])}"
    if report.before:
        told = [f"{_named(letter)} (load {load_id})" for letter, load_id in report.before]
        yield f"{_count(told)} left out, sent before (--again sends them once more): {_listed(told)}"
    if report.refused:
        yield f"{_count(report.refused)} still cannot be read, and stay where they are:"
        for letter, reason in report.refused[:SHOWN]:
            yield f"  {_named(letter)}: {reason}"
        if len(report.refused) > SHOWN:
            yield f"  and {len(report.refused) - SHOWN:,} more"


def _count(letters: list[Any]) -> str:
    return "1 dead letter" if len(letters) == 1 else f"{len(letters):,} dead letters"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _named(letter: Letter) -> str:
    return str(letter.place)


def _place(text: str) -> tuple[str, int, int]:
    found = _LETTER.fullmatch(text)
    if found is None:
        raise OperatorError(f"{text!r} is not a dead letter: write TOPIC/PARTITION/OFFSET")
    return found[1], int(found[2]), int(found[3])


def _since_us(text: str | None) -> int | None:
    try:
        return None if text is None else parse_time(text, up=True)
    except ValueError as error:
        raise RequestError("--since", str(error)) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}") from error
