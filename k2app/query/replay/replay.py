"""Replay: trades and quotes of pinned snapshots as one stream, in the order in which they happened.

Order: `timestamp`, then quotes before trades (at one microsecond the book stands before the print, as as-of joins
with `<=` have it), then `sequence` (null first), `log_id`, `topic`, `partition`, `offset`. It is total, so that a
*resume token* (`cursor`) names one place: the rest of the stream follows it, at any later time and at any speed.

NDJSON, one JSON object a line. A line with the key `control` is not a row; a reader must pass over kinds that it does
not know::

    {"control":"start","snapshots":{"gaps":1,"quotes":2,"trades":3},"as_of":TIME,"warnings":[...],
     "data_type":"both","start":TIME|null,"end":TIME|null,"speed":"max","rate":null,"cursor":TOKEN}
    {"record":"quotes","symbol":"BHP",...}        a row: `record`, then the columns of that table
    {"control":"gap","data_type":"trades","exchange":...,"asset_class":...,"symbol":...,"trading_date":DATE|null,
     "epoch":0,"from_sequence":5,"to_sequence":7,"missing":3,"severity":"small","state":"open","timestamp":TIME}
    {"record":"trades","symbol":"BHP",...}
    {"control":"progress","rows":2,"timestamp":TIME|null,"cursor":TOKEN}
    {"control":"end","rows":2,"sha256":HEX,"next":null}
    {"control":"error","detail":TEXT}             instead of `end`, where it broke off and there was room to say so

- `start` comes first and once; its `cursor` pins the same snapshots from the very place where this stream began.
- `gap` is a sequence gap that is still open, before the rows of the time of the record that showed it.
- `progress` comes at least every 131,072 rows, and while nothing is due every ten seconds, as a sign of life. `rows`
  are those of this stream so far, `timestamp` is that of the last one, `cursor` resumes after it.
- `end` comes last; without it the stream is not whole. `sha256` is of the lines of rows, line feeds included;
  the same question on the same snapshots has the same one, at any speed.

Server-sent events (`format=sse`) are the same objects: event `trade`, `quote` or `control`, the object as `data`, and
the resume token after it as `id` (of a row; of start and progress), which `Last-Event-ID` brings back.

Arrow, CSV and Parquet (at speed=max only) are as of other queries: rows of both tables, the column `record` first, then
the union of the columns, absent ones null. Texts of few values are dictionaries in Arrow. The metadata of each Arrow
batch has the resume token after it as `k2.cursor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from k2app.errors import RequestError
from k2app.query.answers import page
from k2app.query.answers.result import Notice
from k2app.query.answers.stream import Stream
from k2app.query.gaps.gaps import Gap, open_gaps
from k2app.query.reading import ordered
from k2app.query.reading.filters import Filter, Term, any_of, between, named
from k2app.query.reading.ordering import ORDER
from k2app.query.reading.reader import GAPS, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.visibility import judge
from k2app.query.reading.window_rows import WindowRows
from k2app.query.reading.windows import WINDOW_ROWS, Source
from k2app.query.replay.request import ReplayRequest
from k2app.query.requests import RowsRequest
from k2app.query.rows import range_notices
from k2app.query.times import FIRST_US

PACED_WINDOW_ROWS = 131_072
"""Rows sorted at once where they wait for their time: they are in memory for long."""

PACED_PIECE_ROWS = 4_096
"""Rows made ready at once where they wait for their time."""

RECORD = "record"
"""Column that says which table a row is of."""

KEY_TYPES = (int, str, (int, type(None)), str, str, int, int)
"""Types of a place in a cursor: time in microseconds, table, and the rest of `ORDER`."""

_BEFORE_ALL = (FIRST_US, "", None, "", "", 0, 0)
"""Key before every row's."""


@dataclass(frozen=True)
class Replay:
    """A replay that was asked for, on the snapshots that it is read from; rows are read by `Feed`.

    Parameters
    ----------
    request
        As it was asked.
    found
        The snapshots.
    rows
        One of each table, in the order in which they stand at one microsecond.
    schema
        Of `batch`.
    gaps
        Open gaps of the range, in order of their places, from where it begins on.
    key
        Key of the row after which it begins, or before every row.
    """

    request: ReplayRequest
    found: SnapshotSet
    rows: tuple[WindowRows, ...]
    schema: pa.Schema
    gaps: tuple[Gap, ...]
    warnings: tuple[Notice, ...]
    key: page.Key

    @property
    def after(self) -> ordered.Place | None:
        """Where it begins."""
        if self.key == _BEFORE_ALL:
            return None
        timestamp_us, record, *rest = self.key
        return self.request.tables.index(str(record)), (timestamp_us, *rest)

    def head(self) -> Stream:
        """What is said of the rows, without them."""
        return Stream(self.schema, iter(()), self.found.ids, self.found.as_of_us, self.warnings)

    def columns(self, table: int) -> list[str]:
        """Columns of a table's rows as they are shown."""
        held = self.rows[table].columns
        return [name for name in self.schema.names if name in held]

    def cursor(self, place: ordered.Place | None) -> str:
        """Resume token after a row; None: where this replay begins."""
        key = self.key if place is None else (place[1][0], self.request.tables[place[0]], *place[1][1:])
        return page.to_cursor(self.found.place(key), _question(self.request))

    def batch(self, piece: ordered.Piece) -> pa.RecordBatch:
        """Rows of all tables in order, in `schema`."""
        parts = [self._in_schema(n, table) for n, table in enumerate(piece.tables) if table.num_rows]
        whole = pa.concat_tables(parts).unify_dictionaries() if parts else self.schema.empty_table()
        if len(parts) > 1:
            whole = whole.take(pa.array(piece.places))
        return next(iter(whole.combine_chunks().to_batches()), pa.RecordBatch.from_pylist([], self.schema))

    def _in_schema(self, number: int, table: pa.Table) -> pa.Table:
        rows = table.num_rows
        record = pa.DictionaryArray.from_arrays(
            np.full(rows, number, np.int32), pa.array(self.request.tables, pa.string())
        )
        present = {RECORD: record, **{name: table[name] for name in self.columns(number) if name != RECORD}}
        columns = [present.get(f.name) for f in self.schema]
        return pa.table(
            [pa.nulls(rows, f.type) if c is None else c for c, f in zip(columns, self.schema, strict=True)],
            schema=self.schema,
        )


class Feed:
    """The rows of a replay, a piece at a time. Each step may be on another thread, but only one at once."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        paced = replay.request.is_paced
        self._reader: Reader | None = None
        self._pieces = ordered.ordered(
            self._current,
            replay.rows,
            replay.after,
            piece_rows=PACED_PIECE_ROWS if paced else ordered.PIECE_ROWS,
            window_rows=PACED_WINDOW_ROWS if paced else WINDOW_ROWS,
            ahead=not paced,
        )

    def next(self, reader: Reader) -> ordered.Piece | None:
        """The next rows; None: there are no more."""
        self._reader = reader
        try:
            reader.session.check()
            return next((piece for piece in self._pieces if len(piece)), None)
        finally:
            self._reader = None

    def _current(self) -> Reader:
        if self._reader is None:
            raise RuntimeError("a replay was read outside of a step")
        return self._reader


def open_replay(reader: Reader, request: ReplayRequest) -> Replay:
    """Find the snapshots and the place that a replay begins at; no row is read yet.

    Raises
    ------
    RequestError
        No table has such a column, or the cursor is not one for this request.
    """
    found, key = _found(reader, request)
    judged = {table: judge(reader, found, table, _scope(request)) for table in request.tables}
    arrow = {table: reader.scanner.shape(found.versions[table]).arrow for table in request.tables}
    shown = _shown(request, arrow)
    near = () if key == _BEFORE_ALL else (Term("timestamp", ">=", int(key[0] or 0), is_time=True),)
    rows = tuple(
        WindowRows(
            Source(found, table, (*_scope(request), *near)),
            judged[table],
            request.include_duplicates,
            tuple(dict.fromkeys((*(name for name in shown if name in arrow[table].names), *ORDER))),
        )
        for table in request.tables
    )
    asked = RowsRequest(
        symbol=request.symbol,
        exchange=request.exchange,
        start=request.start,
        end=request.end,
        include_duplicates=request.include_duplicates,
    )
    warnings = (
        n for table in request.tables for n in range_notices(reader, found, table, asked, judged[table])
    )
    fields = {field.name: field for one in rows for field in one.schema(reader)}
    schema = pa.schema([(RECORD, pa.dictionary(pa.int32(), pa.string())), *(fields[name] for name in shown)])
    return Replay(request, found, rows, schema, _gaps(reader, found, request, key), tuple(warnings), key)


def stream_replay(reader: Reader, request: ReplayRequest) -> Stream:
    """A replay as fast as it can be read, for forms that are written in large pieces."""
    replay = open_replay(reader, request)
    feed = Feed(replay)
    stream = replay.head()
    stream.batches = _batches(feed, reader, stream)
    return stream


def _batches(feed: Feed, reader: Reader, stream: Stream) -> Iterator[pa.RecordBatch]:
    while (piece := feed.next(reader)) is not None:
        place = piece.place(len(piece) - 1)
        stream.cursor = _token(feed.replay, place)
        yield feed.replay.batch(piece)


def _token(replay: Replay, place: ordered.Place) -> Callable[[], str]:
    return lambda: replay.cursor(place)


def gap_place(replay: Replay, gap: Gap) -> tuple[int, int]:
    """Time and table before whose rows a gap is told."""
    return gap.timestamp_us, replay.request.tables.index(gap.scope.data_type)


def _found(reader: Reader, request: ReplayRequest) -> tuple[SnapshotSet, page.Key]:
    if request.cursor is None:
        retracted = request.include_retracted
        found = reader.snapshots.resolve(request.tables, (GAPS,), request, include_retracted=retracted)
        return found, _BEFORE_ALL
    place = page.from_cursor(request.cursor, _question(request), KEY_TYPES)
    if place.key != _BEFORE_ALL and place.key[1] not in request.tables:
        raise RequestError("cursor", "is from another version of K2; start without it")
    return reader.snapshots.resume(request.tables, (GAPS,), place), place.key


def _question(request: ReplayRequest) -> list[object]:
    return ["replay", request.identity()]


def _names(request: ReplayRequest) -> Filter:
    return named(request.symbol, request.exchange)


def _scope(request: ReplayRequest) -> Filter:
    return (*_names(request), *between("timestamp", request.start, request.end))


def _shown(request: ReplayRequest, arrow: Mapping[str, pa.Schema]) -> list[str]:
    """Columns to show: those asked for, or those of trades and then what only quotes have."""
    present = list(dict.fromkeys(name for table in reversed(request.tables) for name in arrow[table].names))
    for number, name in enumerate(request.columns):
        if name not in present and name != RECORD:
            near = get_close_matches(name, present, n=1, cutoff=0.0)
            raise RequestError(
                "columns", f"{' and '.join(arrow)} have no column {name!r}; the nearest is {near[0]}"
            )
        if name in request.columns[:number]:
            raise RequestError("columns", f"names {name!r} more than once")
    return [name for name in request.columns if name != RECORD] or present


def _gaps(reader: Reader, found: SnapshotSet, request: ReplayRequest, key: page.Key) -> tuple[Gap, ...]:
    start_us, end_us = request.start, request.end
    terms = (*_names(request), *any_of("data_type", request.tables))
    gaps = [
        gap
        for gap in open_gaps(reader, found, terms)
        if (start_us is None or gap.timestamp_us >= start_us)
        and (end_us is None or gap.timestamp_us < end_us)
    ]
    # Of the place's own time and table they came before its row.
    left = [gap for gap in gaps if (gap.timestamp_us, gap.scope.data_type) > (key[0], key[1])]
    return tuple(sorted(left, key=lambda gap: (gap.timestamp_us, gap.scope.data_type)))
