"""The room that the embedded log takes: what is stored, how much of the file is in use, giving space back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from k2app.errors import TransientError
from k2app.stream.log_file import LogFile

READ_ROWS = 65_536
"""Records read at once."""

READ_BYTES = 16 * 1024 * 1024
"""Bytes read at once."""

EVERY = 2**62
"""More rows and bytes than there are: a stored batch is read to its end."""


@dataclass(frozen=True)
class StoredBatch:
    """One stored batch of one partition: records are trimmed a batch at a time."""

    next_offset: int
    """Offset after its last record."""
    records: int
    time_us: int
    """When it was appended, UTC microseconds."""
    size_bytes: int


@dataclass(frozen=True)
class Usage:
    """Bytes of the log's file."""

    file_bytes: int
    free_bytes: int
    """Left by what was trimmed; used again by what is appended."""
    wal_bytes: int
    """Of the write-ahead log beside the file."""
    shrinks: bool
    """Whether free space can be given back: False for a file from before retention."""

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        return self.file_bytes - self.free_bytes


class LogSpace(LogFile):
    """A connection to the log for looking into it, and after its space."""

    def stored(self, topic: str, partition: int, before_offset: int) -> list[StoredBatch]:
        """Stored batches that end below `before_offset`, in order of offset."""
        rows = self._db.execute(
            "select last_offset + 1, count, time_us, length(lengths) + length(keys) + length(payload) from batch"
            " where topic_id = ? and partition = ? and last_offset < ? order by base_offset",
            (self._known(topic).id, partition, before_offset),
        )
        return [StoredBatch(*row) for row in rows]

    def first_offsets(self, topic: str, partition: int) -> list[int]:
        """First offset of every stored batch, in order."""
        rows = self._db.execute(
            "select base_offset from batch where topic_id = ? and partition = ? order by base_offset",
            (self._known(topic).id, partition),
        )
        return [int(offset) for (offset,) in rows]

    def time_us_at(self, topic: str, partition: int, offset: int) -> int | None:
        """When the record at `offset`, or the next one kept, was appended; None: there is none."""
        row = self._db.execute(
            "select time_us from batch where topic_id = ? and partition = ? and last_offset >= ?"
            " order by base_offset limit 1",
            (self._known(topic).id, partition, offset),
        ).fetchone()
        return None if row is None else int(row[0])

    def records(self, topic: str, partition: int) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Key and value of every record kept, in order; nothing of a topic that is not there."""
        at = 0
        while self.topic(topic) is not None:
            batch = self.read(topic, partition, at, max_rows=READ_ROWS, max_bytes=READ_BYTES)
            if batch is None:
                return
            yield from ((batch.key(row), batch.value(row)) for row in range(len(batch)))
            at = batch.next_offset

    def newest(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """Newest value of a key; None: there is none. Looks from the end, a stored batch at a time."""
        if self.topic(topic) is None:
            return None
        for offset in reversed(self.first_offsets(topic, partition)):
            batch = self.read(topic, partition, offset, max_rows=EVERY, max_bytes=EVERY)
            for row in reversed(range(0 if batch is None else len(batch))):
                if batch is not None and batch.key(row) == key:
                    return batch.value(row)
        return None

    def usage(self) -> Usage:
        """Bytes of the file and of what is free in it."""
        page_bytes = self._number("page_size")
        return Usage(
            self._number("page_count") * page_bytes,
            self._number("freelist_count") * page_bytes,
            _size_bytes(self.path.with_name(self.path.name + "-wal")),
            self._number("auto_vacuum") != 0,
        )

    def give_back(self, pages: int) -> int:
        """Cut free pages off the end of the file, at most so many; returns how many. Holds up appends meanwhile.

        Raises
        ------
        TransientError
            Another process holds the file for too long, or the disk is full; nothing was given back.

        Source: SQLite, "PRAGMA incremental_vacuum". A page is freed each time the statement is stepped; Python's
        `execute` steps once, `executescript` to the end.
        """
        before = self._number("freelist_count")
        try:
            self._db.executescript(f"begin immediate; pragma incremental_vacuum({pages}); commit;")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise TransientError(f"cannot give back space of the log {self.path}: {error}") from error
        return before - self._number("freelist_count")

    def checkpoint(self) -> None:
        """Write what the write-ahead log holds into the file, as far as readers allow; the file shrinks by then."""
        self._db.execute("pragma wal_checkpoint(passive)").fetchall()

    def _number(self, pragma: str) -> int:
        return int(self._db.execute(f"pragma {pragma}").fetchone()[0])


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
