"""Sizes of what K2 keeps on disk, and what is left there. For a thread: a disk of the network may not answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from k2app.metrics import LakeMetrics, LogMetrics

LOG_SUFFIXES = ("", "-wal", "-shm")
"""Files of a SQLite log, beside one another (Source: SQLite, "Write-Ahead Logging")."""


def look_at_log(path: Path, metrics: LogMetrics) -> None:
    """Size of the embedded log's files."""
    metrics.bytes.set(sum(_file_bytes(path.with_name(path.name + suffix)) for suffix in LOG_SUFFIXES))


def look_at_state(folders: Mapping[str, Iterable[Path]], metrics: LogMetrics) -> None:
    """Size of the RocksDB folders of each topic."""
    for topic, paths in folders.items():
        metrics.rocksdb_bytes.labels(topic).set(sum(map(folder_bytes, paths)))


def look_at_disks(places: Mapping[str, Path], metrics: LakeMetrics) -> None:
    """Free space at each place; a folder that is not there yet is passed over."""
    for place, folder in places.items():
        with suppress(FileNotFoundError):
            metrics.disk_free.labels(place).set(shutil.disk_usage(folder).free)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder and below; of one that changes meanwhile, about; 0 if there is none."""
    if not folder.is_dir():
        return 0
    return sum(_file_bytes(Path(at) / name) for at, _, names in os.walk(folder) for name in names)


def _file_bytes(path: Path) -> int:
    # It may go while it is looked at: RocksDB and SQLite delete files of their own.
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
