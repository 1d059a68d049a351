"""Calls for Python programs: the answers' rows as Arrow tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from k2app.query.answers.result import Result
from k2app.query.coverage.requests import RangeRequest
from k2app.query.lake_queries import RANGE_QUERY
from k2app.query.queries import QUOTES_QUERY, STATS_QUERY, SUMMARY_QUERY, SYMBOLS_QUERY, TRADES_QUERY
from k2app.query.query import Query
from k2app.query.requests import Request, RowsRequest, StatsRequest, SummaryRequest, SymbolsRequest, make


@dataclass(frozen=True)
class DateRange:
    """Event times of the first and of the last row, UTC; None: there are no rows. `[first, last]`, both inclusive."""

    first: datetime | None
    last: datetime | None


class Tables(ABC):
    """Mixin of what answers queries. Parameters are those of the request models; errors those of `answer`."""

    @abstractmethod
    def answer(self, query: Query, request: Request) -> Result:
        """Answer a query and wait for it."""

    def query_trades(self, **parameters: object) -> pa.Table:
        """A page of trades; parameters of `RowsRequest`."""
        return self.answer(TRADES_QUERY, make(RowsRequest, **parameters)).rows

    def query_quotes(self, **parameters: object) -> pa.Table:
        """A page of quotes; parameters of `RowsRequest`."""
        return self.answer(QUOTES_QUERY, make(RowsRequest, **parameters)).rows

    def get_market_summary(self, symbol: str, day: date, **parameters: object) -> pa.Table:
        """A symbol's trading date, a row for each exchange; see `summary.SCHEMA`."""
        return self.answer(SUMMARY_QUERY, make(SummaryRequest, symbol=symbol, date=day, **parameters)).rows

    def get_symbols(self, **parameters: object) -> pa.Table:
        """The symbols that have rows; see `inventory.SYMBOLS_SCHEMA`."""
        return self.answer(SYMBOLS_QUERY, make(SymbolsRequest, **parameters)).rows

    def get_date_range(self, **parameters: object) -> DateRange:
        """First and last time of the rows; parameters of `RangeRequest`."""
        found = self.answer(RANGE_QUERY, make(RangeRequest, **parameters)).rows
        first, last = pc.min(found["first_timestamp"]), pc.max(found["last_timestamp"])
        return DateRange(first.as_py(), last.as_py())

    def get_stats(self, **parameters: object) -> pa.Table:
        """Size of the tables; see `inventory.STATS_SCHEMA`."""
        return self.answer(STATS_QUERY, make(StatsRequest, **parameters)).rows
