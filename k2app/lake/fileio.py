"""Files of a local warehouse that survive a power cut.

pyiceberg writes local files without fsync, while SQLite syncs its own: after a power cut the catalog would name
files that are empty or gone. Here a file's bytes, its name and the folders above it are on disk when it is closed,
that is, before a commit can refer to it.

Order of one file:

1. make the folders that are missing, each followed by an fsync of its parent;
2. write to a temporary name in the same folder;
3. fsync the file;
4. rename it into place (an overwrite is therefore atomic);
5. fsync the folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from uuid import uuid4

from pyarrow.fs import FileSystem, LocalFileSystem
from pyiceberg.io import WAREHOUSE, FileIO, InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from k2app.errors import OperatorError

PY_IO_IMPL = "k2app.lake.fileio.DurableFileIO"
"""Value of the catalog property `py-io-impl` for a local warehouse."""

WRITE_BUFFER_BYTES = 1 << 20
"""Bytes gathered per write call: Parquet pages and Avro fields arrive in small pieces."""


def local_path(location: str) -> Path | None:
    """Path of a location in a local warehouse; None for an object store.

    A location is taken literally, as Iceberg's other implementations do: `%20` is not a space.
    """
    if location.startswith("file:"):
        rest = location.removeprefix("file:")
        return Path(rest.removeprefix("//")) if rest.startswith("///") else Path(rest)
    return None if "://" in location else Path(location).absolute()


def arrow_files(file_io: FileIO, locations: Sequence[str]) -> tuple[FileSystem | None, list[str]]:
    """File system and paths by which Arrow opens files of one table; no file system: they are on this machine.

    Raises
    ------
    OperatorError
        The catalog has the table's files opened by something else than Arrow.
    """
    paths = [local_path(location) for location in locations]
    if None not in paths:
        return None, [str(path) for path in paths]
    if not isinstance(file_io, PyArrowFileIO):
        raise OperatorError(
            f"files of tables are read by Arrow; leave out the catalog's py-io-impl: {file_io}"
        )
    places = [file_io.parse_location(location, file_io.properties) for location in locations]
    scheme, host, _ = places[0]
    return file_io.fs_by_scheme(scheme, host), [path for _, _, path in places]


class DurableFileIO(PyArrowFileIO):
    """pyiceberg's Arrow file access, with durable writes to local files; others as they are.

    Subclasses may watch `sync_file` and `sync_folder`; both are called after the data they speak of was written.
    """

    def new_input(self, location: str) -> PyArrowFile:
        """Open `location` for reading."""
        path = local_path(location)
        return super().new_input(location) if path is None else _arrow_file(location, path)

    def new_output(self, location: str) -> Any:
        """Open `location` for writing; a local file is durable once its stream is closed."""
        path = local_path(location)
        return super().new_output(location) if path is None else DurableOutputFile(location, path, self)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete one file.

        Raises
        ------
        FileNotFoundError
            It is not there.
        """
        name = location if isinstance(location, str) else location.location
        path = local_path(name)
        if path is None:
            super().delete(name)
        else:
            path.unlink()

    def make_folder(self, folder: Path) -> None:
        """Make `folder` and its parents, and make their names durable.

        Folders that exist are synced too, unless a complete file is in them (whoever wrote it had synced them):
        another process may have made them a moment ago.
        """
        for level in reversed(self._levels(folder)):
            level.mkdir(exist_ok=True)
            self.sync_folder(level.parent)

    def sync_file(self, file: BinaryIO) -> None:
        """Put the bytes of an open file on disk."""
        os.fsync(file.fileno())

    def sync_folder(self, folder: Path) -> None:
        """Put the names in `folder` on disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _levels(self, folder: Path) -> list[Path]:
        """Folders to make or sync, deepest first; at most up to the warehouse, if that exists."""
        root = local_path(self.properties[WAREHOUSE]) if WAREHOUSE in self.properties else None
        inside = root is not None and folder.is_relative_to(root)
        chain = [folder, *folder.parents]
        return list(takewhile(lambda level: not self._is_durable(level, root if inside else None), chain))

    @staticmethod
    def _is_durable(level: Path, root: Path | None) -> bool:
        if not level.exists():
            return False
        if root is None or not level.is_relative_to(root):
            return True
        with os.scandir(level) as entries:
            return any(entry.is_file() and not entry.name.startswith(".") for entry in entries)


class DurableOutputFile(OutputFile):
    """A local file to be written."""

    def __init__(self, location: str, path: Path, file_io: DurableFileIO) -> None:
        super().__init__(location)
        self._path = path
        self._file_io = file_io

    def __len__(self) -> int:
        return self._path.stat().st_size

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def to_input_file(self) -> PyArrowFile:
        """Open the same file for reading."""
        return _arrow_file(self.location, self._path)

    def create(self, overwrite: bool = False) -> DurableStream:
        """Start writing.

        Raises
        ------
        FileExistsError
            The file is there and `overwrite` is false.
        """
        if not overwrite and self.exists():
            raise FileExistsError(f"{self.location} exists already")
        self._file_io.make_folder(self._path.parent)
        return DurableStream(self._path, self._file_io)


class DurableStream:
    """Bytes of one file, invisible under its name until `close`; an exception inside `with` discards them."""

    def __init__(self, path: Path, file_io: DurableFileIO) -> None:
        self._path = path
        self._file_io = file_io
        self._part = path.with_name(f".{path.name}.{uuid4().hex}.part")
        self._file: BinaryIO = self._part.open("xb", buffering=WRITE_BUFFER_BYTES)

    @property
    def closed(self) -> bool:
        """Whether the stream was closed or discarded."""
        return self._file.closed

    def write(self, data: bytes) -> int:
        """Append bytes."""
        return self._file.write(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def flush(self) -> None:
        """Hand buffered bytes to the operating system; `close` makes them durable."""
        self._file.flush()

    def close(self) -> None:
        """Make the file durable under its name. Idempotent."""
        if self._file.closed:
            return
        self._file.flush()
        self._file_io.sync_file(self._file)
        self._file.close()
        self._part.replace(self._path)
        self._file_io.sync_folder(self._path.parent)

    def discard(self) -> None:
        """Forget what was written. Idempotent; does nothing to a closed file."""
        if not self._file.closed:
            self._file.close()
            self._part.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


def _arrow_file(location: str, path: Path) -> PyArrowFile:
    return PyArrowFile(location=location, path=str(path), fs=LocalFileSystem())
