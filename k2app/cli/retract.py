"""`k2 retract`: withdraw a load."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console

from k2app.operate.opening import opened_lake
from k2app.operate.retract import Retraction, retract
from k2app.settings import Settings


def retract_load(settings: Settings, load: str, reason: str | None, console: Console) -> None:
    """Withdraw a load, and say what that means.

    Raises
    ------
    OperatorError
        There is no such load.
    """
    with opened_lake(settings) as catalog:
        done = retract(catalog, settings, load, reason, lambda: datetime.now(UTC))
    console.print(_said(done), soft_wrap=True, highlight=False, markup=False)


def _said(done: Retraction) -> str:
    entry = done.entry
    if done.already:
        why = "" if entry.reason is None else f": {entry.reason}"
        return f"load {entry.load_id} was retracted at {entry.recorded_at:%Y-%m-%d %H:%M:%S} UTC already{why}"
    what = f"its {entry.rows:,} rows" if entry.sent else "what was sent of it"
    return (
        f"load {entry.load_id} ({entry.file}) is retracted: queries leave {what} out from now on; nothing was deleted, "
        "--include-retracted shows them; numbers and gaps stay as they are"
    )
