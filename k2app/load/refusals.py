"""Why a file is not loaded: each says so in a sentence, with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from k2app.errors import OperatorError
from k2app.lake.ledger import RETRACTED
from k2app.load import ledger
from k2app.load.ledger import LoadEntry
from k2app.load.request import Request
from k2app.load.sources import Digest
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
    if _stands(earlier) and not request.again and _untellable(request):
        raise OperatorError(_loaded_before(request.path, earlier, "its rows have"))


def _untellable(request: Request) -> bool:
    """Whether rows have no sequence by which a copy could be told, whatever the file says."""
    return request.sequence == "none" or request.exchange.rule(request.data_type).kind == "none"


def refuse_doubled(request: Request, found: Digest, earlier: LoadEntry | None, loads: Any) -> None:
    """Refuse a file whose rows are in the lake already under another profile, or in part from a load that failed.

    Numbers of the source tell such copies; numbers of the loader's own, or none, do not.
    """
    if request.again or _stands(earlier) or (request.sequence == "source" and not _untellable(request)):
        return
    sha256, exchange, data_type, profile, _ = request.identity(found)
    for one in ledger.read_otherwise(loads, sha256, exchange, data_type, profile):
        raise OperatorError(
            f"{request.path} was loaded at {one.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load {one.load_id}) with the "
            f"profile {one.profile}, and its rows would be there twice, with nothing to tell the copies by: "
            f"`k2 retract {one.load_id}` takes that load back, or --again loads the file once more"
        )
    failed = ledger.failed_before(loads, str(request.path), exchange, data_type)
    if failed is not None and _untellable(request):
        raise OperatorError(
            f"{request.path} broke off when it was loaded at {failed.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load "
            f"{failed.load_id}), and nothing would tell copies of the {failed.rows:,} rows that were sent: "
            f"`k2 retract {failed.load_id}` takes them back, then the file can be loaded"
        )


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
