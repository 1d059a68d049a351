"""Files as streams of bytes: plain, gzip, zstd or a zip of one file.

How a file is packed is told by the end of its name; if its first bytes say otherwise, it is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

import pyarrow as pa

from k2app.errors import OperatorError

DIGEST_BYTES: Final = 1024 * 1024
"""Bytes hashed at once."""

_BROKEN: Final = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What reading a file raises; the last two are zipfile's for a method it lacks and for a password."""


MAGIC: Final = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04", ".zst": b"\x28\xb5\x2f\xfd"}
"""End of a packed file's name, and its first bytes. Source: RFC 1952, PKWARE's APPNOTE, RFC 8878."""


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
            if self.content is self.file:
                raise _unreadable(self.path, error) from error
            raise OperatorError(
                f"{self.path} cannot be read to its end: the compressed data is cut off or damaged ({_why(error)}); "
                "fetch the file again"
            ) from error

    @property
    def position(self) -> int:
        """Bytes of the file read so far: compressed ones, if it is compressed."""
        return self.file.tell()


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a file; `.gz`, `.zst` and `.zip` (of exactly one file) are decompressed on the way.

    What is cut off or damaged raises when it is read. (A zstd file without checksum does not know of a changed
    byte; `zstd` writes checksums, gzip and zip always have them.)

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
    for ending in (*MAGIC, ".csv", ".txt"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def _content(path: Path, file: io.BufferedReader) -> _Stream:
    ending = path.suffix.lower()
    _refuse_misnamed(path, ending, file.peek(len(MAGIC[".zst"])))
    match ending:
        case ".gz":
            return gzip.GzipFile(fileobj=file)
        case ".zst":
            unpacked: _Stream = pa.CompressedInputStream(file, "zstd")
            return unpacked
        case ".zip":
            return _only_member(path, file)
    return file


def _refuse_misnamed(path: Path, ending: str, first: bytes) -> None:
    """Packed bytes read as text would be rejects without end."""
    found = next((name for name, magic in MAGIC.items() if first.startswith(magic)), None)
    if found is not None and found != ending:
        raise OperatorError(f"{path} holds a {found} file; rename it so that its name ends in {found}")


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
    return OperatorError(f"{path} cannot be read: {_why(error)}")


def _why(error: BaseException) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
