"""`k2-query replay`: to standard output, or into a topic."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from k2app.cli.output import say_of, write
from k2app.cli.query_commands import command, texts
from k2app.cli.server_answers import opened_to_head
from k2app.cli.sources import by_name, opened_client, opened_engine
from k2app.client import Client
from k2app.errors import RequestError
from k2app.query.query import Query
from k2app.query.replay.lines import Lines
from k2app.query.replay.player import opened, play
from k2app.query.replay.query import REPLAY_QUERY
from k2app.query.replay.replay import Feed
from k2app.query.replay.request import ReplayFormat, ReplayRequest
from k2app.query.requests import parse
from k2app.settings import read_settings

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
    written = list(texts(query, given))
    asked = parse(ReplayRequest, written)
    if given["url"]:
        _check_no_topic(given["to"])
        with opened_client(given["url"], given["key"]) as client:
            _print_served(client, written, is_paced=asked.is_paced)
    elif given["to"] != STDOUT:
        from k2app.cli.replay_to_topic import replay_to_topic  # noqa: PLC0415 - Faust comes with it, half a second

        replay_to_topic(read_settings(), asked, given["to"])
    else:
        _print(asked)


def _print(asked: ReplayRequest) -> None:
    with opened_engine(read_settings()) as engine:
        replay = opened(engine, asked)
        lines = Lines(Feed(replay), ReplayFormat.NDJSON, numbers=asked.numbers)
        say_of(replay.head(), play(engine, lines, write))


def _print_served(client: Client, written: Iterable[tuple[str, str]], *, is_paced: bool) -> None:
    """The same of a server, which paces it; a connection that breaks is taken up again."""
    with client.replay_text(**by_name(written)) as replay:
        try:
            for line in replay.lines():
                # Lines that wait for nothing are written many at a time.
                write(line, at_once=is_paced)
        finally:
            write(b"")
        say_of(opened_to_head(replay), replay.rows)


def _check_no_topic(to: str) -> None:
    """Check that a server's replay goes to standard output.

    Raises
    ------
    RequestError
        It is to go into a topic.
    """
    if to != STDOUT:
        raise RequestError(
            "to",
            f"takes no topic beside --url, {to!r} neither: a server sends lines, and records are made where lake and "
            "log are both at hand; run it there without --url (and K2_URL)",
        )


def _examples(query: Query) -> str:
    return "Examples: " + " · ".join(f"`k2-query {example}`" for example in query.examples)
