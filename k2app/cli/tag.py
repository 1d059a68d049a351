"""`k2 tag`: one name over a snapshot of every table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from k2app import logs
from k2app.cli.options import Form, Output
from k2app.settings import Settings, read_settings

if TYPE_CHECKING:
    from k2app.lake.tag_records import Tag
    from k2app.lake.tags import Made

tag_app = typer.Typer(
    name="tag",
    help="Tags: a name for what the lake holds now, or held; expiry keeps it, and it never changes.",
    epilog="Examples: `k2 tag create backtest-7` · `k2-query trades --symbol BHP --tag backtest-7` · `k2 tag list`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

TagName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the tag.", show_default=False)]


@tag_app.command(
    "create",
    epilog="Examples: `k2 tag create backtest-7` · `k2 tag create close --as-of 2026-01-05T06:00:00Z` · "
    "`k2 tag create paper --snapshots trades:123,quotes:456`",
)
def create(
    name: TagName,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="What was committed by then; default: by now.")
    ] = None,
    snapshots: Annotated[
        str | None, typer.Option(metavar="TABLE:ID,...", help="What an answer was read from, as it says.")
    ] = None,
) -> None:
    """Name a snapshot of every table. From then on `--tag NAME` gives the same answers, whatever else happens.

    Interrupted half-way, the tag answers nothing; the same command finishes it.
    """
    given = {"as_of": as_of, "snapshots": snapshots}
    pin = [(parameter, text) for parameter, text in given.items() if text is not None]
    Console().print(_said(make_tag(_settings(), name, pin)), soft_wrap=True, highlight=False, markup=False)


@tag_app.command("list", epilog="Examples: `k2 tag list` · `k2 tag list --output json`")
def list_all(output: Output = Form.TABLE) -> None:
    """List the tags and what they name; half-made ones too."""
    from k2app.lake.tags import Tags  # noqa: PLC0415 - `k2 --help` stays fast
    from k2app.operate.opening import opened_lake  # noqa: PLC0415 - as above

    settings = _settings()
    with opened_lake(settings) as catalog:
        tags = list(Tags(catalog, settings).all().values())
    if output is Form.JSON:
        typer.echo(json.dumps([to_json(tag) for tag in tags]))
    else:
        from k2app.cli.output import PIPED_WIDTH  # noqa: PLC0415 - `k2 --help` stays fast

        width = None if Console().is_terminal else PIPED_WIDTH
        Console(width=width).print(_table(tags) if tags else "no tags")


@tag_app.command("drop", epilog="Example: `k2 tag drop backtest-7`")
def drop(name: TagName) -> None:
    """Drop a tag: expiry may take its snapshots from now on. Deletes nothing itself."""
    from k2app.lake.tags import Tags  # noqa: PLC0415 - `k2 --help` stays fast
    from k2app.operate.opening import opened_lake  # noqa: PLC0415 - as above

    settings = _settings()
    with opened_lake(settings) as catalog:
        Tags(catalog, settings).drop(name)
    typer.echo(f"tag {name!r} is dropped; its snapshots stay until they expire")


def make_tag(settings: Settings, name: str, pin: Iterable[tuple[str, str]]) -> Made:
    """Make a tag, or finish one.

    Parameters
    ----------
    pin
        Parameters of a query that say which snapshots; none: the newest.

    Raises
    ------
    OperatorError, RequestError
        The name is taken, or there are no such snapshots.
    """
    from k2app.lake.tags import Tags  # noqa: PLC0415 - `k2 --help` stays fast
    from k2app.operate.opening import opened_lake  # noqa: PLC0415 - as above
    from k2app.query.history.tagging import tag_set  # noqa: PLC0415 - as above
    from k2app.query.reading.snapshots import Snapshots  # noqa: PLC0415 - as above
    from k2app.query.requests import Request, parse  # noqa: PLC0415 - as above

    request = parse(Request, pin)
    with opened_lake(settings) as catalog:
        return Tags(catalog, settings).create(
            name,
            lambda: tag_set(Snapshots(catalog, settings), request),
            time.time_ns() // 1_000,
            explicit=request.pin is not None,
        )


def to_json(tag: Tag) -> dict[str, Any]:
    """A tag as JSON holds it."""
    return {
        "name": tag.name,
        "state": tag.state,
        "created_at": _time(tag).isoformat(),
        "snapshots": dict(tag.snapshots),
    }


def _said(made: Made) -> str:
    how = {"made": "is made", "finished": "was half made, and is whole now", "there": "is there already"}
    return f"tag {made.tag.name!r} {how[made.how]}: {_set(made.tag)}"


def _set(tag: Tag) -> str:
    from k2app.query.pins import pins_text  # noqa: PLC0415 - `k2 --help` stays fast

    return pins_text(tag.snapshots)


def _table(tags: list[Tag]) -> Table:
    table = Table("name", "state", "made (UTC)", "snapshots", box=None, pad_edge=False, header_style="bold")
    for tag in tags:
        table.add_row(tag.name, tag.state, f"{_time(tag):%Y-%m-%d %H:%M:%S}", _set(tag))
    return table


def _time(tag: Tag) -> datetime:
    return datetime.fromtimestamp(tag.created_us / 1_000_000, UTC)


def _settings() -> Settings:
    settings = read_settings()
    logs.configure(settings.logs)
    return settings
