"""The file of the embedded log: its tables, its identity, and transactions on it."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k2app.errors import OperatorError, TransientError

LOG_FORMAT = "1"
"""Layout of the file; a program refuses a file of another layout."""

BUSY_TIMEOUT_S = 60.0
"""Seconds to wait for another process's write: longer than any one append."""

PAGE_BYTES = 16_384
"""Page size: payloads are large, so few and large pages."""

_SCHEMA = """
create table if not exists meta (key text primary key, value text not null) without rowid;
create table if not exists topic (
    id integer primary key, name text not null unique, partitions integer not null, compacted integer not null);
create table if not exists partition (
    topic_id integer not null, partition integer not null,
    start_offset integer not null default 0, next_offset integer not null default 0,
    primary key (topic_id, partition)) without rowid;
create table if not exists batch (
    id integer primary key,
    topic_id integer not null, partition integer not null, base_offset integer not null,
    last_offset integer not null, count integer not null, time_us integer not null,
    offsets blob, lengths blob not null, keys blob not null, payload blob not null);
create unique index if not exists batch_place on batch (topic_id, partition, base_offset);
create table if not exists committed (
    consumer_group text not null, topic_id integer not null, partition integer not null,
    next_offset integer not null, primary key (consumer_group, topic_id, partition)) without rowid;
create table if not exists registered_schema (id integer primary key, text text not null unique);
create table if not exists subject_version (
    subject text not null, version integer not null, schema_id integer not null,
    primary key (subject, version)) without rowid;
"""


class LogConnection:
    """One connection to the log at `path`, which is made if it does not exist."""

    def __init__(self, path: Path, *, synchronous: str = "full") -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
            )
            self._set_up(synchronous)
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(f"cannot open the log {path}: {error}") from error
        self.log_id = self._identity()

    def _set_up(self, synchronous: str) -> None:
        self._db.execute(f"pragma page_size = {PAGE_BYTES}")
        # Counts for a new file only; an older one keeps freed pages for what is appended next.
        self._db.execute("pragma auto_vacuum = incremental")
        self._db.execute("pragma journal_mode = wal")
        self._db.execute(f"pragma synchronous = {'full' if synchronous == 'full' else 'normal'}")
        self._db.execute("pragma wal_autocheckpoint = 4000")
        if self._db.execute("select 1 from sqlite_master where name = 'subject_version'").fetchone() is None:
            self._db.executescript(f"begin immediate; {_SCHEMA} commit;")

    def _identity(self) -> str:
        with self._transaction():
            for key, value in (("log_id", uuid.uuid4().hex), ("format", LOG_FORMAT)):
                self._db.execute("insert or ignore into meta values (?, ?)", (key, value))
        meta = dict(self._db.execute("select key, value from meta"))
        if meta["format"] != LOG_FORMAT:
            raise OperatorError(
                f"the log {self.path} has format {meta['format']}, this program reads {LOG_FORMAT}: "
                "use the version of K2 that wrote it"
            )
        return str(meta["log_id"])

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
        except sqlite3.OperationalError as error:
            raise TransientError(f"the log {self.path} is busy: {error}") from error
        try:
            yield
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise TransientError(f"cannot write the log {self.path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Several statements that see one state, whatever is appended or trimmed meanwhile."""
        self._db.execute("begin")
        try:
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")
