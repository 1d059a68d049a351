"""`k2 keys`: make, list and revoke API keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from k2app.cli.options import Form, Output
from k2app.cli.terminal import printable, say
from k2app.errors import OperatorError
from k2app.operate.key_file import key_file
from k2app.operate.keys import ApiKey, Scope, new_key
from k2app.query.times import EPOCH, MICROSECOND, parse_time
from k2app.settings import Settings, read_settings

WIDTH = 140
"""Columns of the page where the output is not a terminal."""

keys_app = typer.Typer(
    name="keys",
    help="API keys: who may ask over HTTP, and for what.",
    epilog="Examples: `k2 keys create --name research --scope read` · `k2 keys list` · `k2 keys revoke 3f2a9c41b7d0`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@keys_app.command(
    "create",
    epilog="Examples: `k2 keys create --name research --scope read --rate 50/s` · "
    "`k2 keys create --name backtests --scope read --scope replay --expires 90d`",
)
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, for people.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is good for; may be given several times.")],
    rate: Annotated[
        str | None, typer.Option(metavar="N/s|min|h|d", help="Requests it may make; default: K2_WEB_RATE.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME|DAYSd", help="Until when it is good; default: until revoked.")
    ] = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept. Servers that run take it at once."""
    create_key(read_settings(), name, scope, rate, expires)


@keys_app.command("list", epilog="Examples: `k2 keys list` · `k2 keys list --output json`")
def list_all(output: Output = Form.TABLE) -> None:
    """List the keys, revoked and expired ones too; never their secrets."""
    list_keys(read_settings(), as_json=output is Form.JSON)


@keys_app.command("revoke", epilog="Example: `k2 keys revoke 3f2a9c41b7d0`")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, or its first characters.")],
) -> None:
    """Revoke a key. Servers that run refuse it from their next request on."""
    revoke_key(read_settings(), key)


def create_key(
    settings: Settings, name: str, scopes: Sequence[Scope], rate: str | None, expires: str | None
) -> None:
    """Make a key, and print it: on standard output, alone, and never again.

    Raises
    ------
    OperatorError
        It would have no scope, a rate that is none, or would have expired.
    """
    now = datetime.now(UTC)
    made = new_key(name, scopes, rate, None if expires is None else _time(expires, now), now)
    file = key_file(settings)
    file.add(made.key)
    typer.echo(made.text)
    say(
        f"key {made.key.id} ({printable(name)}) may {', '.join(made.key.scopes)}; it is shown this once, and only "
        f"its hash is kept ({file.path})"
    )


def list_keys(settings: Settings, *, as_json: bool) -> None:
    """Print the keys without their secrets, oldest first."""
    keys, now = key_file(settings).read(), datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps([_to_json(key, now) for key in keys]))
    else:
        _print(keys, now)


def revoke_key(settings: Settings, key_id: str) -> None:
    """Revoke a key; servers that run refuse it from their next request on.

    Raises
    ------
    OperatorError
        There is no such key, or more than one.
    """
    key = key_file(settings).revoke(key_id, datetime.now(UTC))
    say(f"key {key.id} ({printable(key.name)}) is revoked")


def _time(text: str, now: datetime) -> datetime:
    """A time, or so many days from now."""
    if text.endswith("d") and text[:-1].isascii() and text[:-1].isdigit() and len(text) <= len("99999d"):
        return now + timedelta(days=int(text[:-1]))
    try:
        return EPOCH + parse_time(text, up=False) * MICROSECOND
    except ValueError as error:
        raise OperatorError(f"--expires: {error}, or days from now (90d)") from error


def _to_json(key: ApiKey, now: datetime) -> dict[str, object]:
    return {**key.model_dump(mode="json", exclude={"secret_sha256"}), "state": key.state(now)}


def _print(keys: Sequence[ApiKey], now: datetime) -> None:
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    if not keys:
        console.print("no keys")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("key", "state", "name", "scopes", "rate", "made (UTC)", "expires (UTC)"):
        table.add_column(name, overflow="fold")
    for key in keys:
        table.add_row(
            key.id,
            key.state(now),
            Text(printable(key.name)),
            " ".join(key.scopes),
            key.rate or "",
            f"{key.created_at:%Y-%m-%d %H:%M}",
            "" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M}",
        )
    console.print(table)
