"""The file of API keys: `keys.json` in `K2_HOME`, for its owner only, replaced as a whole."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from k2app.errors import OperatorError
from k2app.operate.keys import ApiKey
from k2app.settings import Settings

MODE = 0o600
"""Rights of the file: nobody else may read the hashes, or put a key in."""

_Stamp = tuple[int, int, int]
"""What changes when the file is replaced: inode, time, size."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()


class KeyFile:
    """The keys in a file; read again whenever it has changed, so that a revoked key is refused at once.

    Parameters
    ----------
    path
        The file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[_Stamp | None, tuple[ApiKey, ...]] = (None, ())

    def read(self) -> tuple[ApiKey, ...]:
        """All keys that were ever made, revoked ones too; none where there is no file.

        Raises
        ------
        OperatorError
            The file cannot be read, or others may write it.
        """
        stamp = self._stamp()
        if stamp is None:
            return ()
        if stamp != self._read[0]:
            # The stamp is from before the content: a change in between is seen the next time.
            self._read = (stamp, _parse(self.path))
        return self._read[1]

    def add(self, key: ApiKey) -> None:
        """Put a key in."""
        with self._changing() as keys:
            self._write((*keys, key))

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """Mark a key as revoked; harmless if it is.

        Parameters
        ----------
        key_id
            Its id, or the first characters of it.

        Raises
        ------
        OperatorError
            There is no such key, or more than one.
        """
        with self._changing() as keys:
            key = _only(keys, key_id)
            revoked = key.model_copy(update={"revoked_at": key.revoked_at or now})
            self._write(tuple(revoked if one is key else one for one in keys))
        return revoked

    def _stamp(self) -> _Stamp | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OperatorError(f"{self.path}: the file of API keys cannot be read: {error}") from error
        if found.st_mode & 0o022:
            raise OperatorError(
                f"{self.path}: others may write this file of API keys; chmod 600 it, and check what is in it"
            )
        return found.st_ino, found.st_mtime_ns, found.st_size

    @contextmanager
    def _changing(self) -> Iterator[tuple[ApiKey, ...]]:
        """Hold the lock of all who change the file; gives what is in it now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A file beside it: a lock on the file itself would go with it when it is replaced.
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self.read()
        finally:
            os.close(handle)

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        # mkstemp makes the file for its owner only, before anything is in it.
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".keys-")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(_Content(keys=keys).model_dump_json(indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(self.path.parent)


def key_file(settings: Settings) -> KeyFile:
    """The key file of a home."""
    return KeyFile(settings.home / "keys.json")


def _parse(path: Path) -> tuple[ApiKey, ...]:
    try:
        return _Content.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise OperatorError(f"{path}: the file of API keys cannot be read: {error}") from error
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "the file"
        raise OperatorError(
            f"{path}: not a file of API keys: {where}: {wrong['msg']}; make new keys, or restore it"
        ) from error


def _only(keys: tuple[ApiKey, ...], key_id: str) -> ApiKey:
    found = [key for key in keys if key.id.startswith(key_id)] if key_id else []
    if len(found) != 1:
        problem = "is no key" if not found else f"is the beginning of {len(found)} keys"
        raise OperatorError(f"{key_id!r} {problem}; `k2 keys list` shows them")
    return found[0]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
