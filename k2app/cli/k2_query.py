"""`k2-query`: the queries on the command line, with the parameters that HTTP has."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from k2app import logs
from k2app.cli.output import Output, leave_pipe, say, show
from k2app.errors import K2Error, OperatorError, TransientError
from k2app.lake.catalog import open_catalog
from k2app.market import exchanges
from k2app.query.engine import (
    GAPS_QUERY,
    QUOTES_QUERY,
    STATS_QUERY,
    SUMMARIES_QUERY,
    SUMMARY_QUERY,
    SYMBOLS_QUERY,
    TRADES_QUERY,
    Query,
    QueryEngine,
)
from k2app.query.requests import parse
from k2app.query.result import Result
from k2app.settings import Settings, read_settings

FAILED = 1
"""Exit status when the same command may succeed later."""

REFUSED = 2
"""Exit status when the command or the set-up has to change first."""

SHELL = ("timestamp", "symbol", "exchange")

COLUMNS = {
    "trades": (*SHELL, "price", "quantity", "side", "conditions", "sequence", "sequence_flag"),
    "quotes": (*SHELL, "bid_price", "bid_quantity", "ask_price", "ask_quantity", "sequence", "sequence_flag"),
    "summary": (
        *(
            "symbol",
            "exchange",
            "currency",
            "trading_date",
            "open",
            "high",
            "low",
            "close",
            "vwap",
            "volume",
            "trades",
        ),
        *("off_market_volume", "off_market_trades", "open_gaps"),
    ),
    "gaps": (
        *("exchange", "data_type", "symbol", "trading_date", "epoch", "event", "state", "from_sequence"),
        *("to_sequence", "missing", "severity", "timestamp"),
    ),
}
"""Columns of tables, by query; of others all."""

Symbols = Annotated[list[str] | None, typer.Option("--symbol", help="Only this symbol; may be repeated.")]
OneSymbol = Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")]
Exchange = Annotated[str | None, typer.Option(help="Only this exchange.")]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="From this time on: ISO-8601 with a zone, or an epoch as 1700000000s, ms, us, ns.",
    ),
]
End = Annotated[str | None, typer.Option(metavar="TIME", help="Up to this time, exclusive.")]
Limit = Annotated[str | None, typer.Option(metavar="ROWS", help="Rows at most.  [default: 1000]")]
Order = Annotated[
    str | None, typer.Option(metavar="asc|desc", help="Oldest or newest first.  [default: asc]")
]
Cursor = Annotated[str | None, typer.Option(help="Where the page before ended, as it was printed.")]
SnapshotId = Annotated[str | None, typer.Option(metavar="ID", help="Answer from this snapshot.")]
AsOf = Annotated[
    str | None, typer.Option(metavar="TIME", help="Answer as of this time: what was known then.")
]
Duplicates = Annotated[
    bool, typer.Option("--include-duplicates", help="Show rows flagged as duplicates too.")
]
Retracted = Annotated[bool, typer.Option("--include-retracted", help="Show rows of retracted loads too.")]
Numbers = Annotated[bool, typer.Option("--numbers", help="Decimals as JSON numbers instead of strings.")]
Form = Annotated[Output, typer.Option("--output", "-o", help="Form of the result.")]

app = typer.Typer(
    name="k2-query",
    help="Ask the lake: trades, quotes, day summaries, gaps, symbols, stats.",
    epilog="Example: k2-query trades --symbol BHP --start 2026-01-05T00:00:00Z --limit 10",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(
    epilog="Example: k2-query trades --symbol BHP --symbol RIO --start 2026-01-05T10:00:00+11:00 --output csv"
)
def trades(
    symbol: Symbols = None,
    exchange: Exchange = None,
    start: Start = None,
    end: End = None,
    limit: Limit = None,
    order: Order = None,
    cursor: Cursor = None,
    snapshot_id: SnapshotId = None,
    as_of: AsOf = None,
    include_duplicates: Duplicates = False,
    include_retracted: Retracted = False,
    numbers: Numbers = False,
    output: Form = Output.TABLE,
) -> None:
    """Trades in order of time; duplicates and rows of retracted loads are left out unless asked for."""
    run(TRADES_QUERY, output, locals())


@app.command(epilog="Example: k2-query quotes --symbol BHP --order desc --limit 1 --output json")
def quotes(
    symbol: Symbols = None,
    exchange: Exchange = None,
    start: Start = None,
    end: End = None,
    limit: Limit = None,
    order: Order = None,
    cursor: Cursor = None,
    snapshot_id: SnapshotId = None,
    as_of: AsOf = None,
    include_duplicates: Duplicates = False,
    include_retracted: Retracted = False,
    numbers: Numbers = False,
    output: Form = Output.TABLE,
) -> None:
    """Quotes in order of time; duplicates and rows of retracted loads are left out unless asked for."""
    run(QUOTES_QUERY, output, locals())


@app.command(epilog="Example: k2-query summary BHP 2026-01-05 --exchange asx")
def summary(
    symbol: Annotated[str, typer.Argument(help="The symbol.", show_default=False)],
    date: Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="The trading date.", show_default=False)],
    exchange: Exchange = None,
    snapshot_id: SnapshotId = None,
    as_of: AsOf = None,
    include_retracted: Retracted = False,
    numbers: Numbers = False,
    output: Form = Output.TABLE,
) -> None:
    """A symbol's trading date: open, high, low, close, VWAP, volume."""
    run(SUMMARY_QUERY, output, locals())


@app.command(epilog="Example: k2-query summaries 2026-01-05 --end-date 2026-01-10 --exchange asx")
def summaries(
    start_date: Annotated[
        str, typer.Argument(metavar="YYYY-MM-DD", help="First trading date.", show_default=False)
    ],
    end_date: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Trading date after the last; without it: one date."),
    ] = None,
    exchange: Exchange = None,
    snapshot_id: SnapshotId = None,
    as_of: AsOf = None,
    include_retracted: Retracted = False,
    numbers: Numbers = False,
    output: Form = Output.TABLE,
) -> None:
    """Every symbol's trading dates."""
    run(SUMMARIES_QUERY, output, locals())


@app.command(epilog="Example: k2-query gaps --symbol BHP --open-only")
def gaps(
    symbol: OneSymbol = None,
    exchange: Exchange = None,
    data_type: Annotated[
        str | None, typer.Option(metavar="trades|quotes", help="Only gaps of this table.")
    ] = None,
    start: Start = None,
    end: End = None,
    open_only: Annotated[bool, typer.Option("--open-only", help="Only what is still missing.")] = False,
    events: Annotated[bool, typer.Option("--events", help="The events as recorded, not their sum.")] = False,
    limit: Limit = None,
    cursor: Cursor = None,
    snapshot_id: SnapshotId = None,
    as_of: AsOf = None,
    output: Form = Output.TABLE,
) -> None:
    """Sequence gaps: what is missing, what came later, what was given up."""
    run(GAPS_QUERY, output, locals())


@app.command(epilog="Example: k2-query symbols --exchange asx --output csv")
def symbols(
    exchange: Exchange = None,
    snapshot_id: SnapshotId = None,
    as_of: AsOf = None,
    include_retracted: Retracted = False,
    output: Form = Output.TABLE,
) -> None:
    """The symbols that have rows, with counts and times."""
    run(SYMBOLS_QUERY, output, locals())


@app.command(epilog="Example: k2-query stats --as-of 2026-01-05T00:00:00Z --output json")
def stats(snapshot_id: SnapshotId = None, as_of: AsOf = None, output: Form = Output.TABLE) -> None:
    """Rows, files and bytes of the tables."""
    run(STATS_QUERY, output, locals())


def run(query: Query, output: Output, options: dict[str, Any]) -> None:
    """Parse, ask, print.

    Parameters
    ----------
    options
        Parameters of the query by name, and perhaps `output`; None and False: not given.
    """
    asked = parse(query.request, list(given(options)))
    result = ask(read_settings(), query, asked)
    columns = COLUMNS.get("summary" if query is SUMMARIES_QUERY else query.name, ())
    try:
        show(result, output, columns, numbers=asked.numbers)
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`).
        leave_pipe()


def given(options: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Options that were given, as HTTP would have them: name and text, repeated ones several times."""
    for name, value in options.items():
        if name == "output" or value is None or value is False:
            continue
        for text in value if isinstance(value, list) else [value]:
            yield name, "true" if text is True else text


def ask(settings: Settings, query: Query, asked: Any) -> Result:
    """Open the lake and answer one query."""
    logs.configure(settings.logs)
    check_there(settings)
    with closing(open_catalog(settings)) as catalog:
        engine = QueryEngine(settings, catalog, exchanges.load(settings.exchanges_file))
        with closing(engine):
            return engine.answer(query, asked)


def check_there(settings: Settings) -> None:
    """Check that there is a lake: opening a SQLite catalog would make an empty one.

    Raises
    ------
    OperatorError
        There is none.
    """
    path = settings.catalog_uri.removeprefix("sqlite:///")
    if settings.catalog_uri.startswith("sqlite:///") and not Path(path).exists():
        raise OperatorError(
            f"there is no lake at {settings.home} yet: run `k2 init`, and load data with `k2 load`;"
            " or set K2_HOME to where it is"
        )


def main() -> None:
    """Entry point: every error is one line on standard error, Ctrl-C ends with status 130."""
    try:
        app()
    except K2Error as error:
        say("k2-query: " + "; ".join(str(error).splitlines()))
        sys.exit(FAILED if isinstance(error, TransientError) else REFUSED)
