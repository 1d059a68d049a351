"""`k2 loads`: the ledger of loads."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from k2app.cli.terminal import printable
from k2app.errors import OperatorError
from k2app.load import ledger
from k2app.load.ledger import LoadEntry
from k2app.load.reservations import Reservations
from k2app.operate.opening import opened_lake
from k2app.settings import Settings

WIDTH = 160
"""Columns of the page where the output is not a terminal."""

SHOWN_ID = 12
"""Characters of a load id on the page: enough for `k2 retract`."""


def show_loads(settings: Settings, *, as_json: bool, state: str | None, limit: int | None) -> None:
    """Print the loads, newest last.

    Raises
    ------
    OperatorError
        There is no lake yet, or no such state.
    """
    if state is not None and state not in ledger.STATES:
        raise OperatorError(f"--state takes {', '.join(ledger.STATES)}; got {state!r}")
    with opened_lake(settings) as catalog:
        entries = ledger.entries(Reservations(catalog, settings).rows())
    found = [one for one in entries if state in (None, one.state)]
    found = found if limit is None else found[-limit:]
    if as_json:
        typer.echo(json.dumps([to_json(one) for one in found]))
    else:
        _print(found)


def to_json(entry: LoadEntry) -> dict[str, Any]:
    """A load as JSON holds it; numbers by symbol and trading date are left to the table `loads`."""
    return {
        "load_id": entry.load_id,
        "state": entry.state,
        "recorded_at": entry.recorded_at.isoformat(),
        "file": entry.file,
        "file_sha256": entry.file_sha256,
        "file_bytes": entry.file_bytes,
        "exchange": entry.exchange,
        "type": entry.data_type,
        "profile": entry.profile,
        "sequence_mode": entry.sequence_mode,
        "symbol": entry.symbol,
        "rows": entry.rows,
        "rejects": entry.rejects,
        "rejects_file": entry.rejects_file,
        "offsets": [one._asdict() for one in entry.sent],
        "log_id": entry.log_id,
        "reason": entry.reason,
    }


def _print(entries: list[LoadEntry]) -> None:
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    if not entries:
        console.print("no loads")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("time (UTC)", "load", "state", "exchange", "type", "profile"):
        table.add_column(name, no_wrap=name in ("time (UTC)", "load", "state"))
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("rejects", justify="right", no_wrap=True)
    table.add_column("offsets", overflow="fold")
    table.add_column("file", overflow="fold")
    for one in entries:
        table.add_row(
            f"{one.recorded_at:%Y-%m-%d %H:%M:%S}",
            one.load_id[:SHOWN_ID],
            one.state,
            one.exchange,
            one.data_type,
            one.profile.partition("@")[0],
            f"{one.rows:,}",
            f"{one.rejects:,}",
            " ".join(f"{sent.partition}:{sent.start}-{sent.end - 1}" for sent in one.sent),
            Text(printable(one.file)),
        )
    console.print(table)
