"""Why a file is not loaded: each says so in a sentence, with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import TypeGuard

from k2app.errors import OperatorError
from k2app.lake.ledger import RETRACTED
from k2app.load import ledger
from k2app.load.ledger import LoadEntry
from k2app.load.request import Request
from k2app.load.trial import Trial
from k2app.market.topics import DataType


def stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written to."""
    try:
        now = path.stat()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}") from error
    return now.st_ino, now.st_size, now.st_mtime_ns


def refuse_changed(path: Path, before: tuple[int, int, int], so_far: str) -> None:
    """Refuse a file that was written to since `before`, its stamp."""
    if stamp(path) != before:
        raise OperatorError(
            f"{path} changed while it was read; {so_far}: load it again when nothing writes to it any more"
        )


def refuse_untellable(request: Request, earlier: LoadEntry | None) -> None:
    """Refuse a file loaded before, if nothing would tell its copies."""
    kind = request.exchange.rule(request.data_type).kind
    if _stands(earlier) and not request.again and (request.sequence == "none" or kind == "none"):
        raise OperatorError(_loaded_before(request.path, earlier, "its rows have"))


def _stands(earlier: LoadEntry | None) -> TypeGuard[LoadEntry]:
    """Whether there is an earlier load whose rows count; those of a retracted one do not."""
    return earlier is not None and earlier.state != RETRACTED


def refuse_unsequenced(request: Request, earlier: LoadEntry | None, trial: Trial) -> None:
    """Refuse a file loaded before some of whose rows have no sequence of their own."""
    mine = request.sequence == "source" and request.data_type is not DataType.REFERENCE_DATA
    if _stands(earlier) and not request.again and mine and trial.unsequenced:
        whose = f"{trial.unsequenced:,} of its {trial.rows:,} rows have"
        raise OperatorError(_loaded_before(request.path, earlier, whose))


def _loaded_before(path: Path, earlier: LoadEntry, whose: str) -> str:
    when = f"at {earlier.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load {earlier.load_id})"
    untold = f"{whose} no sequence by which a second copy could be told"
    if earlier.state == ledger.SENT:
        return f"{path} was loaded {when} and {untold}: --again loads it once more"
    return (
        f"{path} was begun {when} and not finished, and {untold}: once nothing loads it any more, "
        f"`k2 retract {earlier.load_id}` takes back what was sent, and the file can be loaded anew"
    )


def refuse_rejects(request: Request, trial: Trial) -> None:
    """Refuse a file with rejected rows, where none is allowed."""
    if request.strict and trial.rejects:
        raise OperatorError(
            f"{request.path}: {trial.rejects:,} of {trial.rows + trial.rejects:,} rows rejected, --strict allows "
            f"none; nothing was loaded; see {trial.rejects_file}"
        )
