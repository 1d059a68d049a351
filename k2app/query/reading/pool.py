"""DuckDB: one connection, a few threads, and queries that can be stopped.

`interrupt` on a DuckDB cursor stops the statement that runs at that moment; one that has not begun yet is
not stopped. So whoever stops a query goes on interrupting until the query says that it has ended.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

import duckdb
import pyarrow as pa

from k2app.blocking import STUCK
from k2app.errors import K2Error, OperatorError, TransientError
from k2app.lake import object_store, trust
from k2app.query.reading.deadlines import Deadlines
from k2app.query.reading.duckdb_s3 import reach_s3
from k2app.settings import QuerySettings

T = TypeVar("T")

QUEUED_PER_THREAD = 32
"""Queries that may wait for each one that runs; more are told to come back."""

REFUSED = frozenset({401, 403})
"""Status codes by which an object store says that it knows who asks, or does not, and refuses."""

MOST_NICE = 19
"""Lowest priority there is."""

INTERRUPT_EVERY_S = 0.02
"""Seconds between interrupts of a query that has to stop."""

STUCK_AFTER_S = 2.0
"""Seconds after which a query that has to stop, and has not, is taken to wait for a network: none interrupts that."""

COME_BACK_S = 5.0
"""Seconds after which it is worth to ask a lake again that does not answer."""

LOOK_EVERY_S = 0.1
"""Seconds between looks of who waits for a query: has it ended, does it wait for a network, was Ctrl-C pressed."""

CLOSE_WITHIN_S = 5.0
"""Seconds that queries which wait for a network get to end when the program does."""


class TooBusyError(TransientError):
    """Too many queries wait already."""


class QueryTimeoutError(TransientError):
    """A query took longer than it may."""


class QueryCancelledError(K2Error):
    """Nobody waits for the answer any more."""


class Session:
    """One query on one cursor, which it opens when it begins: one that is never begun leaves none open."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: QuerySettings) -> None:
        self._connection = connection
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._settings = settings
        self._stopped_by: K2Error | None = None
        self._ended = threading.Event()
        self._closing = threading.Lock()
        self._due_s: float | None = None
        self._thread: threading.Thread | None = None
        self.when_stuck: Callable[[], None] = _nothing
        """Called, once, when it has to stop and does not: nobody should wait for it any more."""

    def fetch(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Run one statement and take all of its rows.

        Raises
        ------
        QueryTimeoutError, QueryCancelledError
            It was stopped.
        OperatorError
            It needs more memory than allowed, its result does not fit its type, S3 refuses the credentials, or is
            not trusted.
        TransientError
            A file could not be read: expired meanwhile, or a fault of the disk.
        """
        self.check()
        if self._cursor is None:
            raise RuntimeError("a session fetches rows while it runs, neither before nor afterwards")
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
            if isinstance(error, duckdb.HTTPException) and error.status_code in REFUSED:
                raise OperatorError(f"{object_store.CREDENTIALS}: {error}") from error
            mistrusted = trust.distrust(error)
            if mistrusted is not None:
                raise OperatorError(mistrusted) from error
            raise TransientError(f"a data file could not be read, it may have expired: {error}") from error

    def check(self) -> None:
        """Go on only if nobody stopped the query; called between steps outside DuckDB."""
        if self._stopped_by is not None:
            raise self._stopped_by

    def stop(self, why: K2Error) -> None:
        """Stop the query and wait until it has ended. The first reason counts."""
        self._stopped_by = self._stopped_by or why
        stuck_s = time.monotonic() + STUCK_AFTER_S
        while not self._ended.wait(INTERRUPT_EVERY_S):
            with self._closing:
                if self._cursor is not None:
                    self._cursor.interrupt()
            if time.monotonic() > stuck_s:
                self.leave_behind()
                self.when_stuck()
                stuck_s = math.inf

    def leave_behind(self) -> None:
        """Let the end of the program not wait for it: nobody does any more."""
        with self._closing:
            if self._thread is not None and not self._ended.is_set():
                self._thread.name = f"{STUCK}-{self._thread.name}"

    def run(self, work: Callable[[Session], T]) -> T:
        """Do the work on a cursor of its own, and give that back."""
        self.resume()
        self._thread, name = threading.current_thread(), threading.current_thread().name
        try:
            self.check()
            with self._closing:
                self._cursor = self._connection.cursor()
            return work(self)
        finally:
            with self._closing:
                self._ended.set()
                self._thread.name = name
                cursor, self._cursor = self._cursor, None
                if cursor is not None:
                    cursor.close()

    def pause(self) -> None:
        """Stop the clock while somebody else is awaited: the reader of a stream."""
        self._due_s = None

    def resume(self) -> None:
        """Begin the time limit anew."""
        self._due_s = time.monotonic() + self._settings.timeout_s

    def left_s(self) -> float:
        """Seconds until it has taken too long; while the clock is stopped, all of them."""
        due_s = self._due_s
        return self._settings.timeout_s if due_s is None else due_s - time.monotonic()

    def expire(self) -> None:
        """Stop the query, for it took too long."""
        limit_s = self._settings.timeout_s
        message = f"the query took longer than {limit_s:g} s (K2_QUERY_TIMEOUT_S)"
        self.stop(QueryTimeoutError(message, retry_after_s=limit_s))


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Running(Generic[T]):
    """A query that was handed in.

    Its future ends in time even where its thread does not: a thread that waits for a network cannot be stopped.
    """

    future: Future[T]
    session: Session
    thread: Future[T]
    """Ends with its thread."""
    by: int
    """Identity of the thread that handed it in."""

    def result(self) -> T:
        """Wait for the answer, with an ear for Ctrl-C: a signal does not wake who is about to fall asleep."""
        while not self.future.done():
            wait([self.future], LOOK_EVERY_S)
        return self.future.result()

    def cancel(self) -> None:
        """Stop it; returns at once. Its future ends with QueryCancelledError, or is cancelled."""
        if not self.thread.cancel():
            why = QueryCancelledError("the client went away")
            threading.Thread(target=self.session.stop, args=(why,), daemon=True).start()


@dataclass(frozen=True)
class Busy:
    """How many queries run, how many wait for a thread, how many streams are open."""

    running: int
    queued: int
    streams: int


_MEMORY = "SELECT coalesce(sum(memory_usage_bytes), 0), coalesce(sum(temporary_storage_bytes), 0) FROM duckdb_memory()"


class Pool:
    """Threads that run queries on cursors of one DuckDB connection.

    Parameters
    ----------
    settings
        Limits.
    root
        Folder that queries may read, and nothing else.
    s3
        How S3 is reached, if that is where the folder is.
    """

    def __init__(self, settings: QuerySettings, root: str, s3: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        step_back = partial(_step_back, settings.nice)
        # DuckDB's own threads have the priority of the one that opens it.
        with ThreadPoolExecutor(1, initializer=step_back) as opener:
            self._connection = opener.submit(connect, settings, root, s3).result()
        self._deadlines = Deadlines(settings.timeout_s)
        self._queries = _Threads(settings.concurrent, QUEUED_PER_THREAD, "queries", step_back)
        # A slow reader keeps its thread: streams must not stand in the way of queries.
        self._streams = _Threads(settings.streams, 0, "streams", step_back)

    def submit(self, work: Callable[[Session], T], *, stream: bool = False) -> Running[T]:
        """Hand in a query.

        Parameters
        ----------
        stream
            Its answer is read while it runs.

        Raises
        ------
        TooBusyError
            Too many wait already, or too many streams are open.
        """
        threads = self._streams if stream else self._queries
        session = Session(self._connection, self._settings)
        return threads.submit(partial(copy_context().run, self._run, session, work), session)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C stop what this thread has handed in, wherever it comes: also while a query is handed in."""
        try:
            yield
        except KeyboardInterrupt:
            for threads in (self._queries, self._streams):
                threads.cancel_of(threading.get_ident())
            raise

    def busy(self) -> Busy:
        """What runs and waits at this moment."""
        running, queued = self._queries.counts()
        return Busy(running, queued, sum(self._streams.counts()))

    def memory(self) -> tuple[int, int]:
        """Bytes that DuckDB holds in memory, and on disk for now. Blocks.

        Raises
        ------
        TransientError
            DuckDB is closed.
        """
        try:
            with closing(self._connection.cursor()) as cursor:
                found = cursor.execute(_MEMORY).fetchone()
        except duckdb.Error as error:
            raise TransientError(f"DuckDB does not tell what it holds: {error}") from error
        return (0, 0) if found is None else (int(found[0]), int(found[1]))

    def close(self) -> None:
        """Wait for the queries that run, throw away those that wait, close DuckDB.

        Time limits hold until all have ended. Interrupted, it waits no longer, nor does the end of the program.
        """
        try:
            ended = self._queries.close() & self._streams.close()
        finally:
            self._queries.leave_behind()
            self._streams.leave_behind()
        if ended:
            self._deadlines.close()
            self._connection.close()

    def _run(self, session: Session, work: Callable[[Session], T]) -> T:
        with self._deadlines.watching(session):
            return session.run(work)


class _Threads:
    """A few threads, and a bound on what waits for them."""

    def __init__(self, running: int, queued_each: int, what: str, begin: Callable[[], None]) -> None:
        self._threads = ThreadPoolExecutor(running, thread_name_prefix=what, initializer=begin)
        self._running = running
        self._places = threading.BoundedSemaphore(running * (1 + queued_each))
        waiting = f"{running * queued_each} {what} wait" if queued_each else f"{running} {what} are open"
        self._busy = f"{waiting} already; come back later"
        self._handed_in: set[Running[Any]] = set()
        self._stuck: set[Running[Any]] = set()
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], T], session: Session) -> Running[T]:
        if len(self._stuck) >= self._running:
            raise _no_answer()
        if not self._places.acquire(blocking=False):
            raise TooBusyError(self._busy)
        running = Running[T](Future(), session, Future(), threading.get_ident())
        session.when_stuck = partial(self._give_up, running)
        running.thread.add_done_callback(lambda _: self._end(running))
        with self._lock:
            self._handed_in.add(running)
        try:
            # It may run before this returns, and Ctrl-C may come in between: it has to be known by then.
            self._threads.submit(_do, running.thread, work)
        except BaseException:
            running.cancel()
            raise
        return running

    def cancel_of(self, thread: int) -> None:
        """Stop what a thread has handed in; returns at once."""
        for running in self._handed_in_but(set()):
            if running.by == thread:
                running.cancel()

    def leave_behind(self) -> None:
        """Let the end of the program wait for none that has not ended."""
        for running in self._handed_in_but(set()):
            running.session.leave_behind()

    def close(self) -> bool:
        """Whether all of them have ended; those that wait for a network may not have."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for running in self._handed_in_but(set()):
            running.thread.cancel()
        while left := self._handed_in_but(self._stuck):
            wait(_threads(left), LOOK_EVERY_S)
        return not wait(_threads(self._handed_in_but(set())), CLOSE_WITHIN_S).not_done

    def counts(self) -> tuple[int, int]:
        """How many run, and how many wait."""
        threads = _threads(self._handed_in_but(set()))
        running = sum(thread.running() for thread in threads)
        return running, len(threads) - running

    def _handed_in_but(self, others: set[Running[Any]]) -> set[Running[Any]]:
        with self._lock:
            return self._handed_in - others

    def _end(self, running: Running[Any]) -> None:
        with self._lock:
            self._handed_in.discard(running)
            self._stuck.discard(running)
        self._places.release()
        with suppress(InvalidStateError):  # given up before
            _hand_on(running.thread, running.future)

    def _give_up(self, running: Running[Any]) -> None:
        """Let nobody wait for a query that does not end; if no thread is left, for none that waits for one."""
        with self._lock:
            if running not in self._handed_in:
                return
            self._stuck.add(running)
            none_left = len(self._stuck) >= self._running
            waiting = self._handed_in - self._stuck if none_left else set()
        for one in (running, *waiting):
            with suppress(InvalidStateError):  # it has just ended
                one.future.set_exception(_no_answer())
            one.thread.cancel()


def _threads(handed_in: set[Running[Any]]) -> set[Future[Any]]:
    return {running.thread for running in handed_in}


def _do(thread: Future[T], work: Callable[[], T]) -> None:
    """Do the work for a future that was there before its thread knew of it."""
    if not thread.set_running_or_notify_cancel():
        return
    try:
        done = work()
    except BaseException as error:  # noqa: BLE001 - whoever asked is told, as by any executor
        thread.set_exception(error)
        # The error's traceback holds this frame: without the future in it, both go as soon as nobody needs them.
        del thread
    else:
        thread.set_result(done)


def _no_answer() -> TransientError:
    return TransientError(
        "the lake (catalog or warehouse) does not answer; come back later", retry_after_s=COME_BACK_S
    )


def _hand_on(thread: Future[T], future: Future[T]) -> None:
    if thread.cancelled():
        future.cancel()
    elif (error := thread.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(thread.result())


def _step_back(nice: int) -> None:
    """Let the process's other threads go first: those that ingest, and the one that answers."""
    if sys.platform == "linux":
        # Elsewhere a priority is the whole process's.
        thread = threading.get_native_id()
        os.setpriority(
            os.PRIO_PROCESS, thread, min(MOST_NICE, os.getpriority(os.PRIO_PROCESS, thread) + nice)
        )


def _settle_pandas() -> None:
    """Spare DuckDB a search for pandas, where there is none, with each value it binds: 0.1 ms each time."""
    if "pandas" not in sys.modules and find_spec("pandas") is None:
        sys.modules["pandas"] = None  # type: ignore[assignment]  # how the import system says "not there"


def connect(
    settings: QuerySettings, root: str, s3: Mapping[str, str] | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB that reads files below `root` and reaches nothing else.

    Parameters
    ----------
    s3
        How S3 is reached, if that is where `root` is.

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
        # A name in SQL is never a variable of the program.
        ("python_enable_replacements", False),
        ("autoinstall_known_extensions", False),
        ("autoload_known_extensions", False),
        # Data files never change under their name: nothing has to be asked again.
        ("parquet_metadata_cache", True),
        ("validate_external_file_cache", "NO_VALIDATION"),
        ("allowed_directories", [_folder(root)]),
        ("enable_external_access", False),
        ("lock_configuration", True),
    )
    _settle_pandas()
    connection = duckdb.connect(":memory:")
    if s3 is not None:
        reach_s3(connection, _folder(root), s3)
    for name, value in steps:
        _set(connection, name, value)
    return connection


def _folder(root: str) -> str:
    return root.rstrip("/") + "/"


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
