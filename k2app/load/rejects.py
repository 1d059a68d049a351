"""The dead-letter file of a load: one JSON object per rejected row, with its bytes and the reason."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from k2app.errors import OperatorError
from k2app.load.reader import Reject


class RejectsFile:
    """`FOLDER/LOAD_ID.jsonl`, made when the first reject comes, and in place and on disk when it is closed.

    Until then it is `LOAD_ID.jsonl.part`. A second run of the same load replaces the file of the first, or
    removes it if there is nothing to reject any more.

    Parameters
    ----------
    folder
        `settings.rejects_dir`; made if needed.
    load_id
        Of the load.
    """

    def __init__(self, folder: Path, load_id: str) -> None:
        self.path = folder / f"{load_id}.jsonl"
        self.rows = 0
        self._part = folder / f"{load_id}.jsonl.part"
        self._file: IO[bytes] | None = None

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejected rows.

        Raises
        ------
        OperatorError
            The file cannot be written.
        """
        with self._writing():
            for one in rejects:
                self._open().write(json.dumps(to_json(one)).encode() + b"\n")
                self.rows += 1

    def close(self) -> None:
        """Put the file in its place, on disk; without a reject, there is none.

        Raises
        ------
        OperatorError
            The file cannot be written.
        """
        with self._writing():
            if self._file is None:
                self.path.unlink(missing_ok=True)
                return
            # Closed even if it cannot be flushed.
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
            self._part.replace(self.path)
            _sync_folder(self.path.parent)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; what was rejected before a load failed is kept, too, if it can be."""
        with suppress(OperatorError) if error is not None else nullcontext():
            self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OperatorError(
                f"cannot write the rejects {self._part}: {error.strerror}; make room for them, or name another "
                "folder (--rejects), and load the file again: what was not sent yet follows"
            ) from error

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        return self._file


def to_json(reject: Reject) -> dict[str, Any]:
    """A reject as JSON takes it; bytes that are not UTF-8 are shown as U+FFFD and kept in `raw_base64`."""
    shown: dict[str, Any] = {
        "file": reject.file,
        "line": reject.line,
        "raw": reject.raw.decode(errors="replace"),
        "field": reject.field,
        "reason": reject.reason,
    }
    if shown["raw"].encode() != reject.raw:
        shown["raw_base64"] = base64.b64encode(reject.raw).decode()
    return shown


def _sync_folder(folder: Path) -> None:
    """Make the new name itself last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
