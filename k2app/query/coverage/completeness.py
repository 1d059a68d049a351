"""Is it all there? By symbol and trading date: what was expected, what came, and what is known to be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from k2app.errors import RequestError
from k2app.market.exchanges import Exchange
from k2app.market.topics import AssetClass, DataType
from k2app.query.answers.page import Place, from_cursor, rows_before, to_cursor
from k2app.query.answers.result import Notice, Result
from k2app.query.coverage.numbering import Numbers, count_numbers
from k2app.query.coverage.requests import CompletenessRequest
from k2app.query.gaps.counts import count_gaps
from k2app.query.reading.filters import Filter, Term, any_of, equal, named
from k2app.query.reading.reader import GAPS, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE, Judgement, judge, retracted_notice

SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("exchange", pa.string()),
        ("asset_class", pa.string()),
        ("trading_date", pa.date32()),
        ("data_type", pa.string()),
        ("state", pa.string()),
        ("rows", pa.int64()),
        ("expected", pa.int64()),
        ("seen", pa.int64()),
        ("missing", pa.int64()),
        ("gaps_open", pa.int64()),
        ("gaps_filled", pa.int64()),
        ("gaps_abandoned", pa.int64()),
        ("duplicates", pa.int64()),
        ("conflicts", pa.int64()),
        ("late", pa.int64()),
        ("unsequenced", pa.int64()),
        ("retracted_hidden", pa.int64()),
        ("rule", pa.string()),
    ]
)
"""One row per symbol, exchange, asset class and trading date, in that order: every date that has rows, and every date
without any between the symbol's first and last on which its exchange may have had a session (`is_session`).

- `state`: `missing` without visible rows; `degraded` where something is known to be wrong: a gap is open, numbers are
  missing, or records contradict each other (`conflicts`); else `available`.
- `rows`: visible ones. `duplicates`, `conflicts`, `late`: by flag. `unsequenced`: visible rows without a number, of
  which nothing can be said. `retracted_hidden`: rows of retracted loads.
- `expected`, `seen`, `missing`: sequence numbers, where the exchange counts each symbol one by one (`rule` is
  contiguous); null everywhere else, since then nothing tells what should be there. Expected are the numbers from the
  first of the scope (the one that the rule names; else the lowest seen) to the highest seen: what came after the last
  record is known to nobody. In a numbering that goes on from date to date, a number belongs to the first date that
  reaches it, so that one missing overnight counts on the date that shows it.
- `gaps_*`: gaps that were opened on that date, and what became of them."""

_COUNTS = f"""
SELECT symbol, exchange, asset_class, trading_date,
  count(*) FILTER (NOT retracted AND NOT duplicate) AS "rows",
  count(*) FILTER (NOT retracted AND sequence_flag = '{DUPLICATE}') AS duplicates,
  count(*) FILTER (NOT retracted AND sequence_flag = 'conflict') AS conflicts,
  count(*) FILTER (NOT retracted AND sequence_flag = 'late') AS late,
  count(*) FILTER (NOT retracted AND NOT duplicate AND sequence IS NULL) AS unsequenced,
  count(*) FILTER (retracted AND sequence_flag <> '{DUPLICATE}') AS retracted_hidden
FROM judged GROUP BY ALL
"""

_DATES = """
SELECT symbol, exchange, asset_class, min(trading_date) AS first, max(trading_date) AS last
FROM judged WHERE NOT retracted GROUP BY ALL
"""

_FRIDAY = 5
"""ISO number of the last working day."""

_CURSOR_TYPES = (int,)
"""As of gaps: how many rows came before; all are made anew for each page."""


class Day(NamedTuple):
    """What a row is about."""

    symbol: str
    exchange: str
    asset_class: str
    trading_date: date


MAX_DATES = 1_000_000
"""Dates of symbols in one answer before it is cut into pages: a hundred symbols over forty years."""


@dataclass(frozen=True)
class _Asked:
    """A request, and the set that answers it."""

    reader: Reader
    request: CompletenessRequest
    found: SnapshotSet

    @property
    def names(self) -> Filter:
        return named(self.request.symbol, self.request.exchange)

    @property
    def dates(self) -> Filter:
        start, end = self.request.start_date, self.request.end_date
        lower = () if start is None else (Term("trading_date", ">=", start),)
        return lower if end is None else (*lower, Term("trading_date", "<", end))

    def rows(self, judged: Judgement, body: str, terms: Filter) -> list[dict[str, Any]]:
        table = self.request.data_type
        found = self.reader.query(self.found, table, terms, judged.sql + body, judged.parameters)
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows


def is_session(exchange: Exchange | None, day: date) -> bool:
    """Whether there may have been trading on a date: any day for crypto, Monday to Friday elsewhere.

    No calendar is known, so a holiday looks like a date whose data is missing, and so does one on which nobody traded.
    """
    everyday = exchange is not None and exchange.asset_class is AssetClass.CRYPTO
    return everyday or day.isoweekday() <= _FRIDAY


def read_completeness(reader: Reader, request: CompletenessRequest) -> Result:
    """Read what is there and what is missing, by symbol and trading date.

    Raises
    ------
    RequestError
        The limit is larger than allowed, or the cursor is not one for this request.
    """
    reader.check_limit(request.limit)
    question = ["completeness", request.identity()]
    place = None if request.cursor is None else from_cursor(request.cursor, question, _CURSOR_TYPES)
    found = _found(reader, request, place)
    every = _rows(_Asked(reader, request, found))
    rows = [row for row in every if request.state in (None, row["state"])]
    begin = rows_before(place)
    end = begin + request.limit
    return Result(
        pa.Table.from_pylist(rows[begin:end], schema=SCHEMA),
        found.ids,
        found.as_of_us,
        to_cursor(found.place((end,)), question) if end < len(rows) else None,
        _notices(every),
    )


def _found(reader: Reader, request: CompletenessRequest, place: Place | None) -> SnapshotSet:
    tables = (request.data_type,)
    if place is not None:
        return reader.snapshots.resume(tables, (GAPS,), place)
    return reader.snapshots.resolve(tables, (GAPS,), request, include_retracted=request.include_retracted)


def _rows(asked: _Asked) -> list[dict[str, Any]]:
    judged = judge(asked.reader, asked.found, asked.request.data_type, asked.names)
    counted = {_day(row): row for row in asked.rows(judged, _COUNTS, (*asked.names, *asked.dates))}
    numbers = _numbers(asked, judged)
    gaps = count_gaps(asked.reader, asked.found, (*asked.names, *equal("data_type", asked.request.data_type)))
    days = sorted({*counted, *_without_rows(asked, judged)})
    return [_row(asked, day, counted.get(day, {}), numbers.get(day), gaps.get(day, {})) for day in days]


def _numbers(asked: _Asked, judged: Judgement) -> dict[tuple[str, str, str, date], Numbers]:
    """Numbers expected and seen, where an exchange counts one by one."""
    rules = {
        name: exchange.rule(DataType(asked.request.data_type))
        for name, exchange in asked.reader.exchanges.items()
        if asked.request.exchange in (None, name)
    }
    found: dict[tuple[str, str, str, date], Numbers] = {}
    for scope in ("trading_date", "continuous"):
        named = {n: rule for n, rule in rules.items() if (rule.kind, rule.scope) == ("contiguous", scope)}
        # Of a numbering that goes on, every earlier date says where one begins.
        dates = asked.dates if scope == "trading_date" else ()
        terms = (*asked.names, *dates, *any_of("exchange", named))
        if named:
            found |= count_numbers(asked.reader, asked.found, asked.request.data_type, terms, judged, named)
    return found


def _without_rows(asked: _Asked, judged: Judgement) -> Iterator[Day]:
    """Every date between a symbol's first and last that may have had a session; those with rows too.

    Raises
    ------
    RequestError
        There are more than an answer holds.
    """
    symbols = asked.rows(judged, _DATES, asked.names)
    dates = sum(len(_numbers_of_dates(asked, row)) for row in symbols)
    if dates > MAX_DATES:
        raise RequestError(
            "start_date",
            f"leaves {dates} dates of symbols, at most {MAX_DATES} are; take fewer dates, or symbols",
        )
    for row in symbols:
        exchange = asked.reader.exchanges.get(row["exchange"])
        for number in _numbers_of_dates(asked, row):
            asked.reader.session.check()
            day = date.fromordinal(number)
            if is_session(exchange, day):
                yield Day(row["symbol"], row["exchange"], row["asset_class"], day)


def _numbers_of_dates(asked: _Asked, row: dict[str, Any]) -> range:
    """Ordinals of the dates asked for, between a symbol's first and last."""
    request = asked.request
    first = max(row["first"], request.start_date or row["first"])
    end = row["last"] + timedelta(days=1) if row["last"] < date.max else row["last"]
    return range(first.toordinal(), min(end, request.end_date or end).toordinal())


def _day(row: dict[str, Any]) -> Day:
    return Day(*(row[name] for name in Day._fields))


def _row(
    asked: _Asked, day: Day, counted: dict[str, Any], numbers: Numbers | None, gaps: dict[str, int]
) -> dict[str, Any]:
    # There may be millions, and nobody else looks at the time.
    asked.reader.session.check()
    exchange = asked.reader.exchanges.get(day.exchange)
    row: dict[str, Any] = {
        **dict.fromkeys(SCHEMA.names, 0),
        **counted,
        **day._asdict(),
        **{f"gaps_{state}": gaps.get(state, 0) for state in ("open", "filled", "abandoned")},
        "data_type": asked.request.data_type,
        "rule": None if exchange is None else exchange.rule(DataType(asked.request.data_type)).text(),
        "expected": None if numbers is None else numbers.expected,
        "seen": None if numbers is None else numbers.seen,
        "missing": None if numbers is None else numbers.expected - numbers.seen,
    }
    return {**row, "state": _state(row)}


def _state(row: dict[str, Any]) -> str:
    if row["rows"] == 0:
        return "missing"
    wrong = row["gaps_open"] or row["conflicts"] or row["missing"]
    return "degraded" if wrong else "available"


def _notices(rows: Iterable[dict[str, Any]]) -> tuple[Notice, ...]:
    rows = list(rows)
    said = [*retracted_notice(sum(row["retracted_hidden"] for row in rows))]
    missing = sum(row["state"] == "missing" for row in rows)
    if missing:
        message = (
            f"{missing} dates without rows: not loaded, nothing traded, or a holiday (no calendar is known)"
        )
        said.append(Notice("dates_missing", message, missing))
    return tuple(said)
