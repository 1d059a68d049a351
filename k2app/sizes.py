"""Sizes of what K2 keeps on disk, and what is left there. For a thread: a disk of the network may not answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from k2app.metrics import LogMetrics, Series

LOG_SUFFIXES = ("", "-wal", "-shm")
"""Files of a SQLite log, beside one another (Source: SQLite, "Write-Ahead Logging")."""


def look_at_log(path: Path, metrics: LogMetrics) -> None:
    """Size of the embedded log's files."""
    metrics.bytes.set(sum(_file_bytes(path.with_name(path.name + suffix)) for suffix in LOG_SUFFIXES))


def look_at_state(folders: Mapping[str, Iterable[Path]], metrics: LogMetrics) -> None:
    """Size of the RocksDB folders of each topic."""
    for topic, paths in folders.items():
        metrics.rocksdb_bytes.labels(topic).set(sum(map(folder_bytes, paths)))


def look_at_disks(places: Mapping[str, Path], free: Series) -> None:
    """Free space at each place; a folder that is not there (yet, or any more) shows none."""
    found = {(place,): _free_bytes(folder) for place, folder in places.items()}
    free.show({labels: size for labels, size in found.items() if size is not None})


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder and below; of one that changes meanwhile, about; 0 if there is none."""
    if not folder.is_dir():
        return 0
    return sum(_file_bytes(Path(at) / name) for at, _, names in os.walk(folder) for name in names)


def _free_bytes(folder: Path) -> int | None:
    """Bytes that are free where a folder is; None: there is none."""
    with suppress(FileNotFoundError):
        return shutil.disk_usage(folder).free
    return None


def _file_bytes(path: Path) -> int:
    # It may go while it is looked at: RocksDB and SQLite delete files of their own.
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
