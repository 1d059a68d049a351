"""Trades and quotes, a page at a time, in a total order."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from k2app.errors import RequestError
from k2app.query.filters import Filter, Term, any_of, between, equal, quoted
from k2app.query.gap_notices import gap_notices
from k2app.query.page import Key, Place, from_cursor, to_cursor
from k2app.query.reader import GAPS, Reader
from k2app.query.requests import RowsRequest
from k2app.query.result import Notice, Result
from k2app.query.snapshots import SnapshotSet
from k2app.query.visibility import DUPLICATE, Judgement, judge, retracted_notice

ORDER = ("timestamp", "sequence", "log_id", "topic", "partition", "offset")
"""The total order. Only `sequence` may be null; nulls stand before every number."""

KEY_TYPES = (int, (int, type(None)), str, str, int, int)
"""Types of the order's columns in a cursor; timestamp in microseconds."""

ASCENDING = ", ".join(f"{quoted(column)} ASC NULLS FIRST" for column in ORDER)

DESCENDING = ", ".join(f"{quoted(column)} DESC NULLS LAST" for column in ORDER)

_KEY_COLUMNS = (
    'timestamp, sequence IS NOT NULL, coalesce(sequence, 0), log_id, topic, "partition"::BIGINT, "offset"'
)
_KEY_VALUES = (
    "make_timestamptz($key_0::BIGINT), $key_known::BOOLEAN, $key_1::BIGINT, $key_2::VARCHAR, $key_3::VARCHAR, "
    "$key_4::BIGINT, $key_5::BIGINT"
)


@dataclass(frozen=True)
class _Page:
    """One page of a table: what is asked, and where it starts."""

    table: str
    request: RowsRequest
    found: SnapshotSet
    after: Key | None

    @property
    def ascending(self) -> bool:
        return self.request.order == "asc"

    @property
    def scope(self) -> Filter:
        """Every row of the range, on whichever page."""
        asked = self.request
        return (
            *any_of("symbol", asked.symbol),
            *equal("exchange", asked.exchange),
            *between("timestamp", asked.start, asked.end),
        )


def read_rows(reader: Reader, table: str, request: RowsRequest) -> Result:
    """Read a page of trades or quotes.

    Returns
    -------
    Result
        Every column of the table as it was at that snapshot, one row per record, in the total order.
        Duplicates and rows of retracted loads are left out, and counted over the whole range, unless asked for.

    Raises
    ------
    RequestError
        The limit is larger than allowed, or the cursor is not one for this request.
    """
    if request.limit > reader.max_rows:
        raise RequestError("limit", f"is at most {reader.max_rows} (K2_QUERY_MAX_ROWS); page with cursor")
    page = _open(reader, table, request)
    judged = judge(reader, page.found, table, page.scope)
    rows = _fetch(reader, page, judged)
    more = rows.num_rows > request.limit
    shown = rows.slice(0, request.limit)
    return Result(
        rows=shown,
        snapshots=page.found.ids,
        as_of_us=page.found.as_of_us,
        next=_next(page, shown) if more else None,
        warnings=_notices(reader, page, judged, shown, complete=page.after is None and not more),
    )


def _question(table: str, request: RowsRequest) -> list[object]:
    return [table, request.identity()]


def _open(reader: Reader, table: str, request: RowsRequest) -> _Page:
    if request.cursor is None:
        found = reader.snapshots.resolve(
            (table,), (GAPS,), request, include_retracted=request.include_retracted
        )
        return _Page(table, request, found, None)
    place = from_cursor(request.cursor, _question(table, request), KEY_TYPES)
    return _Page(table, request, reader.snapshots.resume((table,), (GAPS,), place), place.key)


def _fetch(reader: Reader, page: _Page, judged: Judgement) -> pa.Table:
    """One row more than the page holds, if there is one."""
    order = ASCENDING if page.ascending else DESCENDING
    where, parameters = _after(page)
    shown = "NOT retracted" if page.request.include_duplicates else "NOT retracted AND NOT duplicate"
    body = (
        f"{judged.sql} SELECT * EXCLUDE (retracted, duplicate) FROM judged WHERE {shown} AND {where} "
        f"ORDER BY {order} LIMIT $rows"
    )
    parameters = {**parameters, **judged.parameters, "rows": page.request.limit + 1}
    rows = reader.query(page.found, page.table, (*page.scope, *_near(page)), body, parameters)
    return rows.cast(reader.scanner.shape(page.found.versions[page.table]).arrow)


def _near(page: _Page) -> Filter:
    """The part of the cursor that planner and Parquet can prune by: its time."""
    if page.after is None:
        return ()
    timestamp_us = int(page.after[0] or 0)
    return (Term("timestamp", ">=" if page.ascending else "<=", timestamp_us, is_time=True),)


def _after(page: _Page) -> tuple[str, dict[str, object]]:
    if page.after is None:
        return "true", {}
    values: dict[str, object] = {f"key_{n}": value for n, value in enumerate(page.after)}
    sequence = page.after[1]
    known = {"key_known": sequence is not None, "key_1": 0 if sequence is None else sequence}
    return f"({_KEY_COLUMNS}) {'>' if page.ascending else '<'} ({_KEY_VALUES})", values | known


def _next(page: _Page, shown: pa.Table) -> str:
    last = shown.slice(shown.num_rows - 1, 1)
    key = (last["timestamp"].cast(pa.int64())[0].as_py(), *(last[column][0].as_py() for column in ORDER[1:]))
    place = Place(
        snapshots=page.found.ids,
        tables=page.found.table_uuids,
        known_until_us=page.found.known_until_us,
        retracted_until_us=page.found.retracted_until_us,
        key=key,
    )
    return to_cursor(place, _question(page.table, page.request))


def _notices(
    reader: Reader, page: _Page, judged: Judgement, shown: pa.Table, *, complete: bool
) -> tuple[Notice, ...]:
    asked = page.request
    names = (*any_of("symbol", asked.symbol), *equal("exchange", asked.exchange))
    gaps = gap_notices(reader, page.found, page.table, names, asked.start, asked.end)
    absent = unknown_notices(reader, page.found, page.table, set(asked.symbol), shown) if complete else ()
    return (*_committed(page.found, page.table), *_hidden(reader, page, judged), *gaps, *absent)


def _committed(found: SnapshotSet, table: str) -> tuple[Notice, ...]:
    if found.versions[table].snapshot is not None:
        return ()
    return (Notice("nothing_committed", f"{table}: nothing had been committed by then", 0),)


def _hidden(reader: Reader, page: _Page, judged: Judgement) -> tuple[Notice, ...]:
    duplicates = not page.request.include_duplicates
    if not judged.withdrawn:
        return duplicates_notice(_count_duplicates(reader, page)) if duplicates else ()
    body = (
        f"{judged.sql} SELECT count(*) FILTER (duplicate AND NOT retracted) AS duplicates, "
        f"count(*) FILTER (retracted AND (sequence_flag <> '{DUPLICATE}' OR NOT $duplicates)) AS retracted FROM judged"
    )
    parameters = {**judged.parameters, "duplicates": duplicates}
    (counts,) = reader.query(page.found, page.table, page.scope, body, parameters).to_pylist()
    hidden = duplicates_notice(counts["duplicates"]) if duplicates else ()
    return (*hidden, *retracted_notice(counts["retracted"]))


def _count_duplicates(reader: Reader, page: _Page) -> int:
    # By the flag first: most files have no duplicate, and are not read.
    terms = (*page.scope, Term("sequence_flag", "=", DUPLICATE))
    counted = reader.query(page.found, page.table, terms, "SELECT count(*) AS n FROM matching")
    return int(counted["n"][0].as_py())


def duplicates_notice(count: int) -> tuple[Notice, ...]:
    """What is said of hidden duplicates; nothing of none."""
    if count == 0:
        return ()
    rows = "row" if count == 1 else "rows"
    message = f"{count} duplicate {rows} of the range left out; include_duplicates shows them"
    return (Notice("duplicates_hidden", message, count),)


def unknown_notices(
    reader: Reader, found: SnapshotSet, table: str, asked: set[str], shown: pa.Table
) -> tuple[Notice, ...]:
    """Which of the symbols asked for have no row at all in the table, whatever the range."""
    absent = asked - set(pc.unique(shown["symbol"]).to_pylist())
    if not absent:
        return ()
    body = "SELECT DISTINCT symbol FROM matching"
    present = reader.query(found, table, any_of("symbol", absent), body)["symbol"].to_pylist()
    unknown = sorted(absent - set(present))
    if not unknown:
        return ()
    listed = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")  # noqa: PLR2004 - a line's worth
    return (Notice("unknown_symbol", f"no {table} of {listed} at all in this snapshot", len(unknown)),)
