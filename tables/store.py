"""RocksDB below the sequence tables; a damaged folder is set aside and filled anew, for it is only a cache.

States come back from the changelog, or from the lake where that is gone too; see `k2app.ingest.states`.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from faust.stores import rocksdb
from faust.types import TP

from k2app.logs import get

logger = get(__name__)

DAMAGED_SUFFIX = ".damaged"
"""Ending of a folder that was set aside; the next one of the same partition gets a number."""


class StateStore(rocksdb.Store):
    """One RocksDB per partition."""

    def _open_for_partition(self, partition: int) -> Any:
        try:
            return super()._open_for_partition(partition)
        except Exception as error:
            if not is_damage(error):
                raise
            self.set_aside(partition, error)
            return super()._open_for_partition(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """Changelog offset up to which a partition is filled; None: it is empty."""
        try:
            offset: int | None = super().persisted_offset(tp)
        except Exception as error:
            if not is_damage(error):
                raise
            self.close(tp.partition)
            self.set_aside(tp.partition, error)
            return None
        return offset

    def close(self, partition: int) -> None:
        """Close one partition; its next use opens it."""
        db = self._dbs.pop(partition, None)
        if db is not None:
            try:
                db.close()
            except Exception as error:  # noqa: BLE001 - rocksdict has no exception of its own
                # What it could not write is in the changelog and in the lake.
                logger.warning("state_folder_not_closed", error=str(error))

    def set_aside(self, partition: int, error: Exception) -> None:
        """Rename the folder of a closed partition, so that its next use makes an empty one."""
        folder = self.partition_path(partition)
        kept = free_name(folder)
        folder.rename(kept)
        logger.warning(
            "state_folder_damaged",
            folder=str(folder),
            kept_as=str(kept),
            error=str(error),
            what_now="the states are rebuilt; the kept folder can be deleted",
        )


# mode names a service's logger after its module; these lines are Faust's own, and as quiet as its others.
StateStore.logger = rocksdb.Store.logger


def is_damage(error: Exception) -> bool:
    """Whether RocksDB says that what is on the disk is not what it wrote; rocksdict raises no types for it."""
    text = str(error)
    return type(error) is Exception and (
        text.startswith("Corruption:") or (text.startswith("IO error:") and "No such file" in text)
    )


def free_name(folder: Path) -> Path:
    """A name beside a folder, that nothing has yet."""
    names = (
        folder.with_name(f"{folder.name}{DAMAGED_SUFFIX}{f'-{number}' if number else ''}")
        for number in count()
    )
    return next(name for name in names if not name.exists())
