"""Whether the disks that a worker writes to are about to be full.

A full disk is survived (`tests/pipeline/storm`), but others share it: a catalog, a log that other processes append to.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from k2app.lake.fileio import local_path
from k2app.settings import Settings
from k2app.stream.log_path import log_path
from k2app.stream.logs_by_url import is_kafka

RELIEF = 1.1
"""Times the limit that must be free before it goes on: a disk on the brink must not stop and go with every file."""


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write to the disk of a folder."""
    return shutil.disk_usage(folder).free


def folders(settings: Settings) -> list[Path]:
    """Folders on this machine that a worker writes to."""
    return list(dict.fromkeys(_folders(settings)))


def _folders(settings: Settings) -> Iterator[Path]:
    yield settings.home
    if not is_kafka(settings):
        yield log_path(settings.log_url).parent
    warehouse = local_path(settings.lake.warehouse) if settings.lake.warehouse else None
    if warehouse is not None:
        yield warehouse


class DiskGuard:
    """Whether one of some folders has too little space left.

    Parameters
    ----------
    folders
        Folders that are written to.
    min_free_bytes
        What is left alone; 0: nothing is.
    free
        Free bytes of a folder; raises OSError if it cannot be looked at.
    """

    def __init__(
        self, folders: Sequence[Path], min_free_bytes: int, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self.min_free_bytes = min_free_bytes
        self.free_bytes: dict[Path, int] = {}
        """By folder, as of the last look; those that cannot be looked at are not in it."""
        self.trouble: str | None = None
        """Why nothing more may be written, in words; None: it may."""
        self._folders = folders
        self._free = free

    def look(self) -> None:
        """Look how much there is now. Blocks where a network disk does."""
        found, troubles = {}, []
        limit = self.min_free_bytes * (1 if self.trouble is None else RELIEF)
        for folder in self._folders:
            try:
                found[folder] = self._free(folder)
            except OSError as error:
                troubles.append(f"{folder} cannot be looked at: {error}")
                continue
            if found[folder] < limit:
                troubles.append(
                    f"the disk of {folder} has {found[folder]:,} bytes free, K2_DISK_MIN_FREE_BYTES leaves "
                    f"{self.min_free_bytes:,} alone: nothing is read until there is more"
                )
        self.free_bytes = found
        self.trouble = "; ".join(troubles) if troubles and self.min_free_bytes else None
