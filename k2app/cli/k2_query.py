"""`k2-query`: the queries on the command line, with the parameters that HTTP has."""

from __future__ import annotations

from typing import Any

import typer

from k2app.cli import collecting
from k2app.cli.ending import STATUSES, Interruptible
from k2app.cli.ending import run as run_commands
from k2app.cli.output import Output, check_binary, say_of, show_chart, show_table, write
from k2app.cli.query_commands import add_commands, texts
from k2app.cli.replay import add_replay
from k2app.cli.sources import Asked, Source, opened_source
from k2app.errors import RequestError
from k2app.query.answers.formats import Format
from k2app.query.answers.stream import Stream
from k2app.query.answers.writing import write_stream
from k2app.query.queries import QUERIES
from k2app.query.query import Query
from k2app.query.requests import parse

app = typer.Typer(
    cls=Interruptible,
    name="k2-query",
    help="Ask the lake, or a server (`--url` of each command): the queries that HTTP has.",
    epilog=f"Example: `k2-query trades --symbol BHP --start 2026-01-05T00:00:00Z --limit 10`\n\n{STATUSES}",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def run(query: Query, given: dict[str, Any]) -> None:
    """Parse, ask, print."""
    output: Output = given["output"]
    check_binary(output)
    written = tuple(texts(query, given))
    asked = Asked(query, parse(query.request, written), written)
    with opened_source(given["url"], given["key"]) as source:
        printed = _chart if given.get("chart") else _PRINTED.get(output, _stream)
        printed(source, asked, output)


def _json(source: Source, asked: Asked, _output: Output) -> None:
    # It names snapshots, warnings and the next page itself.
    write(source.json(asked) + b"\n")


def _table(source: Source, asked: Asked, _output: Output) -> None:
    result = source.page(asked)
    show_table(result.rows, getattr(asked.request, "columns", ()) or asked.query.columns)
    say_of(result, result.rows.num_rows)


def _chart(source: Source, asked: Asked, output: Output) -> None:
    if output is not Output.TABLE:
        raise RequestError("chart", f"takes no --output {output} beside it: a chart is for a terminal")
    result = source.page(asked)
    show_chart(result.rows)
    say_of(result, result.rows.num_rows)


def _stream(source: Source, asked: Asked, output: Output) -> None:
    def written(found: Stream) -> tuple[Stream, int]:
        numbers = asked.request.numbers
        return found, write_stream(found, Format(output), write, numbers=numbers, control=False)

    found, rows = source.stream(asked, written)
    say_of(found, rows)


_PRINTED = {Output.JSON: _json, Output.TABLE: _table}
"""How a page is printed; every other form is a stream."""

add_commands(app, QUERIES, run)
add_replay(app)


def main() -> None:
    """Entry point: every error is one line on standard error, and its exit status says what to do."""
    collecting.put_off()
    collecting.begin()
    run_commands(app, "k2-query")
