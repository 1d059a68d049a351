"""Every query by name: the same answers for HTTP, command line and Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

import pyarrow as pa
from prometheus_client import CollectorRegistry
from pyiceberg.catalog import Catalog

from k2app import tracing
from k2app.lake.object_store import is_on_s3, s3_properties
from k2app.lake.observed import Observe, unobserved
from k2app.lake.table_cache import TableCache
from k2app.market.exchanges import Exchange
from k2app.metrics import QueryMetrics
from k2app.query.answers.pages import pages
from k2app.query.answers.result import Result
from k2app.query.answers.stream import Stream
from k2app.query.known import check_exchange
from k2app.query.measures import REPLAY, count_rows, count_scan
from k2app.query.queries import (
    GAPS_QUERY,
    QUOTES_QUERY,
    STATS_QUERY,
    SUMMARIES_QUERY,
    SUMMARY_QUERY,
    SYMBOLS_QUERY,
    TRADES_QUERY,
)
from k2app.query.query import Query
from k2app.query.reading.plan import Planner
from k2app.query.reading.pool import Busy, Pool, Running, Session
from k2app.query.reading.reader import Reader
from k2app.query.reading.scan import Scanner, readable_path
from k2app.query.reading.snapshots import Snapshots
from k2app.query.requests import (
    GapsRequest,
    Request,
    RowsRequest,
    StatsRequest,
    SummariesRequest,
    SummaryRequest,
    SymbolsRequest,
)
from k2app.query.tables import Tables
from k2app.settings import Settings

T = TypeVar("T")


class QueryEngine(Tables):
    """Answers queries from the lake. One per process; safe between threads.

    Parameters
    ----------
    settings
        Limits, namespace, warehouse.
    catalog
        Where the tables are.
    exchanges
        What is configured of each exchange, by name: zones and off-market rules.
    metrics
        Where queries are counted; None: nowhere that is seen.
    observe
        Hears of the requests to the catalog that do not go through its own methods.

    Raises
    ------
    OperatorError
        DuckDB does not take a setting, or the warehouse is neither a folder nor on S3.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        exchanges: Mapping[str, Exchange],
        metrics: QueryMetrics | None = None,
        observe: Observe = unobserved,
    ) -> None:
        self._metrics = metrics or QueryMetrics(CollectorRegistry())
        self._snapshots = Snapshots(catalog, settings, observe)
        plans = self._metrics.plans
        self._planner = Planner(told=lambda outcome: plans.labels(outcome).inc())
        self._scanner = Scanner()
        self._exchanges = exchanges
        self._max_rows = settings.query.max_rows
        warehouse = settings.lake.warehouse or str(settings.home / "warehouse")
        s3 = s3_properties(settings) if is_on_s3(warehouse) else None
        self._pool = Pool(settings.query, readable_path(warehouse), s3)

    def submit(self, query: Query, request: Request, finish: Callable[[Result], T]) -> Running[T]:
        """Hand in a query; `finish` runs on the query's thread, within its time.

        Raises
        ------
        TooBusyError
            Too many wait already.
        """
        return self._pool.submit(partial(self._answer, query, request, finish))

    def submit_stream(self, query: Query, request: Request, write: Callable[[Stream], T]) -> Running[T]:
        """Hand in a query whose rows are written while they are read; `write` runs on the query's thread.

        The time limit holds for each batch, and not while `write` has it.

        Raises
        ------
        TooBusyError
            Too many streams are open already.
        """
        return self._pool.submit(partial(self._stream, query, request, write), stream=True)

    def submit_step(
        self, request: Request, step: Callable[[Reader], T], *, stream: bool = True
    ) -> Running[T]:
        """Hand in one step of a stream that is read step by step; between two no thread waits.

        Parameters
        ----------
        stream
            Among streams, not among queries: rows are read, which takes time.

        Raises
        ------
        TooBusyError
            Too many wait already, or too many streams are open.
        """
        return self._pool.submit(partial(self._step, request, step), stream=stream)

    def answer(self, query: Query, request: Request) -> Result:
        """Answer a query and wait for it.

        Raises
        ------
        RequestError
            The request cannot be answered as asked.
        OperatorError
            The lake is not there, or not readable for K2.
        TransientError
            Too slow, too busy, or the lake did not answer.
        """
        with self.interruptible():
            return self.submit(query, request, lambda result: result).result()

    def interruptible(self) -> AbstractContextManager[None]:
        """Around handing in and waiting: Ctrl-C, wherever it comes, stops what this thread has handed in."""
        return self._pool.interruptible()

    def trades(self, request: RowsRequest) -> Result:
        """A page of trades; see `rows.read_rows`."""
        return self.answer(TRADES_QUERY, request)

    def quotes(self, request: RowsRequest) -> Result:
        """A page of quotes; see `rows.read_rows`."""
        return self.answer(QUOTES_QUERY, request)

    def summary(self, request: SummaryRequest) -> Result:
        """One symbol's trading date; see `summary.SCHEMA`."""
        return self.answer(SUMMARY_QUERY, request)

    def summaries(self, request: SummariesRequest) -> Result:
        """Every symbol's trading dates; see `summary.SCHEMA`."""
        return self.answer(SUMMARIES_QUERY, request)

    def gaps(self, request: GapsRequest) -> Result:
        """Sequence gaps; see `gaps.STATE_SCHEMA`."""
        return self.answer(GAPS_QUERY, request)

    def symbols(self, request: SymbolsRequest) -> Result:
        """Symbols that have rows; see `inventory.SYMBOLS_SCHEMA`."""
        return self.answer(SYMBOLS_QUERY, request)

    def stats(self, request: StatsRequest) -> Result:
        """Size of the tables; see `inventory.STATS_SCHEMA`."""
        return self.answer(STATS_QUERY, request)

    def busy(self) -> Busy:
        """What runs and waits at this moment."""
        return self._pool.busy()

    def memory(self) -> tuple[int, int]:
        """Bytes that DuckDB holds in memory, and on disk for now. Blocks.

        Raises
        ------
        TransientError
            The engine is closed.
        """
        return self._pool.memory()

    @property
    def lake_tables(self) -> TableCache:
        """The lake's tables as they were loaded last."""
        return self._snapshots.tables

    def close(self) -> None:
        """Let the queries that run finish; those that wait are cancelled."""
        self._pool.close()

    def _answer(self, query: Query, request: Request, finish: Callable[[Result], T], session: Session) -> T:
        with self._reading(query.name, session, request) as reader:
            result = query.read(reader, request)
        session.check()
        count_rows(self._metrics, query.name, result.rows.num_rows)
        return finish(result)

    def _stream(self, query: Query, request: Request, write: Callable[[Stream], T], session: Session) -> T:
        with self._reading(query.name, session, request) as reader:
            stream = (query.stream or partial(pages, query))(reader, request)
            stream.batches = self._counted(query.name, _timed(session, stream.batches))
            return write(stream)

    def _step(self, request: Request, step: Callable[[Reader], T], session: Session) -> T:
        with self._reading(REPLAY, session, request) as reader:
            return step(reader)

    @contextmanager
    def _reading(self, resource: str, session: Session, request: Request) -> Iterator[Reader]:
        """A way to the lake; what was planned to be read is counted, also of what failed."""
        reader = self._reader(session, request)
        try:
            with tracing.span(f"query {resource}"):
                yield reader
        finally:
            count_scan(self._metrics, resource, reader.scan)

    def _counted(self, resource: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            count_rows(self._metrics, resource, batch.num_rows)
            yield batch

    def _reader(self, session: Session, request: Request) -> Reader:
        reader = Reader(
            session=session,
            snapshots=self._snapshots,
            planner=self._planner,
            scanner=self._scanner,
            exchanges=self._exchanges,
            max_rows=self._max_rows,
        )
        check_exchange(reader, request)
        return reader


def _timed(session: Session, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, with the clock stopped while they are written."""
    for batch in batches:
        session.pause()
        yield batch
        session.resume()
        session.check()
