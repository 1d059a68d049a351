"""DuckDB: one connection, a few threads, and queries that can be stopped.

`interrupt` on a DuckDB cursor stops the statement that runs at that moment; one that has not begun yet is
not stopped. So whoever stops a query goes on interrupting until the query says that it has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import duckdb
import pyarrow as pa

from k2app.errors import K2Error, OperatorError, TransientError
from k2app.settings import QuerySettings

T = TypeVar("T")

QUEUED_PER_THREAD = 8
"""Queries that may wait for each one that runs; more are told to come back."""

INTERRUPT_EVERY_S = 0.02
"""Seconds between interrupts of a query that has to stop."""


class TooBusyError(TransientError):
    """Too many queries wait already."""


class QueryTimeoutError(TransientError):
    """A query took longer than it may."""


class QueryCancelledError(K2Error):
    """Nobody waits for the answer any more."""


class Session:
    """One query on one cursor."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, settings: QuerySettings) -> None:
        self._cursor = cursor
        self._settings = settings
        self._stopped_by: K2Error | None = None
        self._ended = threading.Event()
        self._closing = threading.Lock()

    def fetch(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Run one statement and take all of its rows.

        Raises
        ------
        QueryTimeoutError, QueryCancelledError
            It was stopped.
        OperatorError
            It needs more memory than allowed, or its result does not fit its type.
        TransientError
            A file could not be read: expired meanwhile, or a fault of the disk.
        """
        self.check()
        try:
            return self._cursor.execute(sql, dict(parameters)).to_arrow_table()
        except duckdb.InterruptException as error:
            raise self._stopped_by or QueryCancelledError("the query was interrupted") from error
        except duckdb.OutOfMemoryException as error:
            raise OperatorError(
                f"the query needs more than {self._settings.memory_limit} of memory: ask for a shorter range, "
                "or raise K2_QUERY_MEMORY_LIMIT"
            ) from error
        except duckdb.OutOfRangeException as error:
            raise OperatorError(
                f"a sum does not fit its decimal; ask for a shorter range: {error}"
            ) from error
        except duckdb.IOException as error:
            raise TransientError(f"a data file could not be read, it may have expired: {error}") from error

    def check(self) -> None:
        """Go on only if nobody stopped the query; called between steps outside DuckDB."""
        if self._stopped_by is not None:
            raise self._stopped_by

    def stop(self, why: K2Error) -> None:
        """Stop the query and wait until it has ended. The first reason counts."""
        self._stopped_by = self._stopped_by or why
        while not self._ended.wait(INTERRUPT_EVERY_S):
            with self._closing:
                if not self._ended.is_set():
                    self._cursor.interrupt()

    def run(self, work: Callable[[Session], T]) -> T:
        """Do the work within the time limit."""
        limit_s = self._settings.timeout_s
        late = QueryTimeoutError(
            f"the query took longer than {limit_s:g} s (K2_QUERY_TIMEOUT_S)", retry_after_s=limit_s
        )
        timer = threading.Timer(limit_s, self.stop, (late,))
        timer.daemon = True
        timer.start()
        try:
            self.check()
            return work(self)
        finally:
            timer.cancel()
            with self._closing:
                self._ended.set()
                self._cursor.close()


@dataclass(frozen=True)
class Running(Generic[T]):
    """A query that was handed in."""

    future: Future[T]
    session: Session

    def cancel(self) -> None:
        """Stop it; returns at once. Its future ends with QueryCancelledError, or is cancelled."""
        if not self.future.cancel():
            why = QueryCancelledError("the client went away")
            threading.Thread(target=self.session.stop, args=(why,), daemon=True).start()


class Pool:
    """Threads that run queries on cursors of one DuckDB connection.

    Parameters
    ----------
    settings
        Limits.
    root
        Folder that queries may read, and nothing else.
    """

    def __init__(self, settings: QuerySettings, root: str) -> None:
        self._settings = settings
        self._connection = connect(settings, root)
        self._threads = ThreadPoolExecutor(settings.concurrent, thread_name_prefix="query")
        self._places = threading.BoundedSemaphore(settings.concurrent * (1 + QUEUED_PER_THREAD))

    def submit(self, work: Callable[[Session], T]) -> Running[T]:
        """Hand in a query.

        Raises
        ------
        TooBusyError
            Too many wait already.
        """
        if not self._places.acquire(blocking=False):
            waiting = self._settings.concurrent * QUEUED_PER_THREAD
            raise TooBusyError(f"{waiting} queries wait already; come back later")
        session = Session(self._connection.cursor(), self._settings)
        future = self._threads.submit(session.run, work)
        future.add_done_callback(lambda _: self._places.release())
        return Running(future, session)

    def close(self) -> None:
        """Wait for the queries that run, throw away those that wait, close DuckDB."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._connection.close()


def connect(settings: QuerySettings, root: str) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB that reads files below `root` and reaches nothing else.

    Raises
    ------
    OperatorError
        A setting is not one that DuckDB takes.
    """
    steps: tuple[tuple[str, Any], ...] = (
        ("threads", settings.threads),
        ("memory_limit", settings.memory_limit),
        ("TimeZone", "UTC"),
        ("temp_directory", ""),
        ("autoinstall_known_extensions", False),
        ("autoload_known_extensions", False),
        # Data files never change under their name: nothing has to be asked again.
        ("parquet_metadata_cache", True),
        ("validate_external_file_cache", "NO_VALIDATION"),
        ("allowed_directories", [root.rstrip("/") + "/"]),
        ("enable_external_access", False),
        ("lock_configuration", True),
    )
    connection = duckdb.connect(":memory:")
    for name, value in steps:
        _set(connection, name, value)
    return connection


def _set(connection: duckdb.DuckDBPyConnection, name: str, value: object) -> None:
    try:
        connection.execute(f"SET {name} = {_literal(value)}")
    except duckdb.Error as error:
        connection.close()
        raise OperatorError(f"DuckDB does not take {name} = {value!r}: {error}") from error


def _literal(value: object) -> str:
    """A setting's value in SQL; SET takes no parameters, and these come from the operator only."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"
