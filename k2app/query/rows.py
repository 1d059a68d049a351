"""Trades and quotes, a page at a time, in a total order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from k2app.errors import RequestError
from k2app.query.answers.page import Key, from_cursor, to_cursor
from k2app.query.answers.result import Notice, Result
from k2app.query.answers.stream import BATCH_ROWS, Stream, result_to_stream
from k2app.query.gaps.notices import gap_notices
from k2app.query.reading.filters import Filter, Term, any_of, between, has_any, named, within
from k2app.query.reading.first_rows import FirstRows
from k2app.query.reading.ordered import ordered
from k2app.query.reading.ordering import ORDER
from k2app.query.reading.reader import GAPS, PAGE_OR_STREAM, TRADES, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import DUPLICATE, Judgement, committed_notice, judge, retracted_notice
from k2app.query.reading.window_rows import WindowRows
from k2app.query.reading.windows import WINDOW_ROWS, Source
from k2app.query.requests import RowsRequest

TOP_ROWS = 5_000
"""Rows that are picked from any number by their time, or by DuckDB without sorting the rest; of more, a window of time
is read after the other."""

KEY_TYPES = (int, (int, type(None)), str, str, int, int)
"""Types of the order's columns in a cursor; timestamp in microseconds."""


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
            *named(asked.symbol, asked.exchange),
            *between("timestamp", asked.start, asked.end),
            # Copies of a record are equal in all of these: none is told from the others.
            *has_any("conditions", asked.conditions),
            *_bounds(self.table, asked),
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
    reader.check_limit(request.limit, PAGE_OR_STREAM)
    page = _open(reader, table, request)
    columns = _columns(reader, page)
    judged = judge(reader, page.found, table, page.scope)
    rows = _first(_pieces(reader, page, judged, request.limit), request.limit + 1)
    more = rows.num_rows > request.limit
    shown = rows.slice(0, request.limit)
    return Result(
        rows=shown.select(columns),
        snapshots=page.found.ids,
        as_of_us=page.found.as_of_us,
        next=_next(page, shown) if more else None,
        warnings=_notices(reader, page, judged, shown, complete=page.after is None),
    )


def stream_rows(reader: Reader, table: str, request: RowsRequest) -> Stream:
    """Read trades or quotes of any number; as `read_rows`, but all of them unless a limit is given."""
    limit = request.limit if "limit" in request.model_fields_set else None
    if limit is not None and limit <= min(TOP_ROWS, reader.max_rows):
        # With the rows at hand, fewer questions remain.
        return result_to_stream(read_rows(reader, table, request))
    page = _open(reader, table, request)
    columns = _columns(reader, page)
    judged = judge(reader, page.found, table, page.scope)
    empty = reader.scanner.shape(page.found.versions[table]).arrow.empty_table()
    notices = _notices(reader, page, judged, empty, complete=page.after is None)
    schema = empty.select(columns).schema
    stream = Stream(schema, iter(()), page.found.ids, page.found.as_of_us, notices)
    tables = _limited(stream, page, _pieces(reader, page, judged, limit), limit)
    stream.batches = (
        batch for piece in tables for batch in piece.select(columns).to_batches(max_chunksize=BATCH_ROWS)
    )
    return stream


def _pieces(reader: Reader, page: _Page, judged: Judgement, limit: int | None) -> Iterator[pa.Table]:
    """The rows in order, some at a time; one more than the limit at least, if there are."""
    arrow = reader.scanner.shape(page.found.versions[page.table]).arrow
    asked = page.request.columns
    columns = tuple(dict.fromkeys((*asked, "symbol", *ORDER))) if asked else tuple(arrow.names)
    first = _first_rows(page, judged, columns)
    if limit is not None and limit <= TOP_ROWS:
        yield first.read(reader, limit + 1)
        return
    source = Source(page.found, page.table, (*page.scope, *first.near))
    rows = WindowRows(source, judged, page.request.include_duplicates, columns)
    plain = pa.schema([arrow.field(name) for name in columns])
    for piece in ordered(
        lambda: reader,
        [rows],
        None if page.after is None else (0, page.after),
        descending=not page.ascending,
        window_rows=WINDOW_ROWS if limit is None else min(WINDOW_ROWS, limit + 1),
        ahead=limit is None,
    ):
        yield piece.tables[0].cast(plain)


def _first(pieces: Iterable[pa.Table], rows: int) -> pa.Table:
    """The first so many rows of the pieces, or a few more; no more pieces are read than that takes."""
    taken = list(_until(pieces, rows))
    return pa.concat_tables(taken)


def _until(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    held = 0
    for piece in pieces:
        yield piece
        held += piece.num_rows
        if held >= rows:
            return


def _limited(
    stream: Stream, page: _Page, pieces: Iterable[pa.Table], limit: int | None
) -> Iterator[pa.Table]:
    """Pieces up to the limit; where there is more, the stream gets its cursor."""
    last: pa.Table | None = None
    left = limit
    for piece in pieces:
        shown = piece.slice(0, left)
        yield shown
        last = shown.slice(shown.num_rows - 1, 1) if shown.num_rows else last
        left = None if left is None else left - shown.num_rows
        if piece.num_rows > shown.num_rows and last is not None:
            stream.next = _next(page, last)
            return


def _columns(reader: Reader, page: _Page) -> list[str]:
    """Columns to show.

    Raises
    ------
    RequestError
        The table has no such column, or one is named twice.
    """
    present = reader.scanner.shape(page.found.versions[page.table]).arrow.names
    for number, name in enumerate(page.request.columns):
        if name not in present:
            near = get_close_matches(name, present, n=1, cutoff=0.0)
            raise RequestError("columns", f"{page.table} have no column {name!r}; the nearest is {near[0]}")
        if name in page.request.columns[:number]:
            raise RequestError("columns", f"names {name!r} more than once")
    return list(page.request.columns) or present


def _bounds(table: str, asked: RowsRequest) -> Filter:
    """Bounds of price and quantity; a missing side of a quote is within any."""
    if table == TRADES:
        return (
            *within("price", asked.min_price, asked.max_price),
            *within("quantity", asked.min_quantity, asked.max_quantity),
        )
    return tuple(
        term
        for side in ("bid", "ask")
        for term in (
            *within(f"{side}_price", asked.min_price, asked.max_price, or_null=True),
            *within(f"{side}_quantity", asked.min_quantity, asked.max_quantity, or_null=True),
        )
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


def _first_rows(page: _Page, judged: Judgement, columns: tuple[str, ...]) -> FirstRows:
    return FirstRows(
        page.found,
        page.table,
        page.scope,
        judged,
        page.request.include_duplicates,
        columns,
        page.ascending,
        page.after,
    )


def order_key(rows: pa.Table) -> Key:
    """Values of the order's columns in the last row, as a cursor has them."""
    last = rows.slice(rows.num_rows - 1, 1)
    return (last["timestamp"].cast(pa.int64())[0].as_py(), *(last[column][0].as_py() for column in ORDER[1:]))


def _next(page: _Page, shown: pa.Table) -> str:
    return to_cursor(page.found.place(order_key(shown)), _question(page.table, page.request))


def _notices(
    reader: Reader, page: _Page, judged: Judgement, shown: pa.Table, *, complete: bool
) -> tuple[Notice, ...]:
    asked = page.request
    names = named(asked.symbol, asked.exchange)
    gaps = gap_notices(reader, page.found, page.table, names, asked.start, asked.end)
    absent = unknown_notices(reader, page.found, page.table, set(asked.symbol), shown) if complete else ()
    return (*committed_notice(page.found, page.table), *_hidden(reader, page, judged), *gaps, *absent)


def range_notices(
    reader: Reader, found: SnapshotSet, table: str, request: RowsRequest, judged: Judgement
) -> tuple[Notice, ...]:
    """What is said of all rows of a range: duplicates and retractions left out, gaps, symbols that are not there."""
    empty = reader.scanner.shape(found.versions[table]).arrow.empty_table()
    return _notices(reader, _Page(table, request, found, None), judged, empty, complete=True)


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
    if not reader.files(page.found, page.table, terms):
        return 0
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
