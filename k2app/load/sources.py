"""Files as streams of bytes: plain, gzip or a zip of one file."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from k2app.errors import OperatorError

DIGEST_BYTES: Final = 1024 * 1024
"""Bytes hashed at once."""

_BROKEN: Final = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What reading a file raises; the last two are zipfile's for a method it lacks and for a password."""


class Digest(NamedTuple):
    """What a file is known by, whatever it is called."""

    sha256: str
    size_bytes: int


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Source:
    """An open file.

    Parameters
    ----------
    path
        As the operator named it.
    content
        What it holds, decompressed.
    file
        The file itself.
    """

    path: Path
    content: _Stream
    file: IO[bytes]

    def read(self, size_bytes: int) -> bytes:
        """The next bytes of the content; empty at its end."""
        try:
            return self.content.read(size_bytes)
        except _BROKEN as error:
            raise _unreadable(self.path, error) from error

    @property
    def position(self) -> int:
        """Bytes of the file read so far: compressed ones, if it is compressed."""
        return self.file.tell()


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a file; `.gz` and `.zip` (of exactly one file) are decompressed on the way.

    Raises
    ------
    OperatorError
        It cannot be read; says why.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield Source(path, _content(path, file), file)


def digest(path: Path) -> Digest:
    """SHA-256 and size of a file, as it lies on the disk.

    Raises
    ------
    OperatorError
        It cannot be read.
    """
    found, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(DIGEST_BYTES):
                found.update(piece)
                size += len(piece)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Digest(found.hexdigest(), size)


def stem(path: Path) -> str:
    """A file's name without its endings: `7181` of `7181.csv.gz`; a dot within a symbol stays."""
    name = path.name
    for ending in (".gz", ".zip", ".csv", ".txt"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def _content(path: Path, file: IO[bytes]) -> _Stream:
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(fileobj=file)
    return _only_member(path, file) if path.suffix.lower() == ".zip" else file


def _only_member(path: Path, file: IO[bytes]) -> _Stream:
    try:
        archive = zipfile.ZipFile(file)
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) != 1:
            raise OperatorError(f"{path} holds {len(members)} files; a zip is read if it holds exactly one")
        return archive.open(members[0])
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> OperatorError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return OperatorError(f"{path} cannot be read: {why}")
