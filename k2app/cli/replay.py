"""`k2-query replay`: to standard output, or into a topic."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Annotated, Any
from uuid import uuid4

import typer

from k2app.cli.output import say_of, write
from k2app.cli.query_commands import command, texts
from k2app.cli.sources import opened_engine
from k2app.cli.terminal import say
from k2app.errors import OperatorError
from k2app.query.engine import QueryEngine
from k2app.query.ordered import PIECE_ROWS, Place
from k2app.query.player import opened, paced, play
from k2app.query.query import Query
from k2app.query.replay import Feed, Replay
from k2app.query.replay_lines import Lines
from k2app.query.replay_query import REPLAY_QUERY
from k2app.query.replay_request import ReplayFormat, ReplayRequest
from k2app.query.replay_topic import PARTITIONS, TopicWriter, check_target, replay_headers
from k2app.query.requests import parse
from k2app.query.times import micros_to_text
from k2app.settings import Settings, read_settings
from k2app.stream.logs_by_url import Log, open_log
from k2app.stream.registry import open_registry

STDOUT = "stdout"
"""Name of the target that is no topic."""

_TO = typer.Option(
    "--to", metavar="stdout|TOPIC", help="Where to: NDJSON to standard output, or records into a topic."
)


def add_replay(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name=REPLAY_QUERY.name, help=REPLAY_QUERY.about, epilog=_examples(REPLAY_QUERY))(_command())


def _command() -> Callable[..., None]:
    """The command of any query, with a target instead of a form."""
    made: Any = command(REPLAY_QUERY, run)
    kept = [p for p in made.__signature__.parameters.values() if p.name != "output"]
    to = inspect.Parameter(
        "to", inspect.Parameter.KEYWORD_ONLY, default=STDOUT, annotation=Annotated[str, _TO]
    )
    made.__signature__ = inspect.Signature([*kept, to])
    made.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, to)}
    return made  # type: ignore[no-any-return]  # it carries a signature of its own


def run(query: Query, given: dict[str, Any]) -> None:
    """Parse, and replay."""
    if given["url"]:
        raise OperatorError(
            f"replay reads the lake itself; of a server ask {given['url'].rstrip('/')}{query.path} (unset K2_URL)"
        )
    asked = parse(ReplayRequest, texts(query, given))
    settings = read_settings()
    if given["to"] != STDOUT:
        check_target(given["to"], asked)
    with opened_engine(settings) as engine:
        replay = opened(engine, asked)
        if given["to"] == STDOUT:
            lines = Lines(Feed(replay), ReplayFormat.NDJSON, numbers=asked.numbers)
            say_of(replay.head(), play(engine, lines, write))
        else:
            _to_topic(settings, engine, replay, given["to"])


def _to_topic(settings: Settings, engine: QueryEngine, replay: Replay, topic: str) -> None:
    log = open_log(settings)
    with closing(log.publisher()) as publisher:
        _make(log, topic)
        replay_id = uuid4().hex
        say(f"replay {replay_id} into {topic}" + ("; the embedded log keeps no headers" if log.file else ""))
        registry = open_registry(settings, log.file)
        headers = replay_headers(replay, replay_id)
        _publish(engine, TopicWriter(replay, topic, publisher, registry, headers))


def _make(log: Log, topic: str) -> None:
    """Make the topic, unless it is there; then it may have any number of partitions."""
    if log.file is None or log.file.topic(topic) is None:
        log.create_topic(topic, PARTITIONS)


def _publish(engine: QueryEngine, writer: TopicWriter) -> None:
    rows, told, place = 0, 0, None
    try:
        for piece in paced(engine, writer.replay):
            writer.publish(piece)
            rows, place = rows + len(piece), piece.place(len(piece) - 1)
            if rows - told >= PIECE_ROWS:
                told = rows
                say(f"{rows:,} rows, up to {micros_to_text(place[1][0])}")
    except BaseException:
        _say_place(writer.replay, rows, place)
        raise
    say_of(replace(writer.replay.head(), next=None), rows)


def _say_place(replay: Replay, rows: int, place: Place | None) -> None:
    say(f"{rows:,} rows are on the topic; go on with --cursor {replay.cursor(place)}")


def _examples(query: Query) -> str:
    return "Examples: " + " · ".join(f"`k2-query {example}`" for example in query.examples)
