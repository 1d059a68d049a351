"""What came into the lake between two snapshots: exact, from the files in which they differ.

Rows are never changed, so what a table has at one snapshot and not at an earlier one are the rows of the files that
came between, less those of files that went: a compaction writes rows anew, and they keep their coordinates on the log.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from k2app.errors import GoneError, RequestError
from k2app.lake.tables import SPECS, Name
from k2app.lake.tag_records import NAME as TAG
from k2app.query.answers.result import Notice, Result
from k2app.query.history.requests import DiffRequest
from k2app.query.reading.filters import Filter, named, quoted, where
from k2app.query.reading.reader import GAPS, LOADS, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.requests import Request, make

TABLES = tuple(name.value for name in SPECS if name.value != LOADS)
"""Tables whose rows have coordinates on the log."""

SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("exchange", pa.string()),
        ("symbol", pa.string()),
        ("log_id", pa.string()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("rows", pa.int64()),
        ("first_timestamp", pa.timestamp("us", tz="UTC")),
        ("last_timestamp", pa.timestamp("us", tz="UTC")),
        ("from_snapshot_id", pa.int64()),
        ("to_snapshot_id", pa.int64()),
    ]
)
"""One row per table, exchange, symbol and partition of a topic that rows were added of, in that order; no rows where
nothing was added. They lie at offsets [start, end), those of other symbols between them; the first and last event time
is theirs. Every row stored counts, whatever its flag. Dead letters have no exchange and symbol, and they and reference
data no event time: null. The answer's snapshots are those compared *to*."""

_PLACE = ("log_id", "topic", "partition", "offset")

_KEYS = {GAPS: (*_PLACE, "event_index")}
"""What tells a row from all others of its table, where it is more than its place."""


def read_diff(reader: Reader, request: DiffRequest) -> Result:
    """Count the rows that were added between two snapshots.

    Raises
    ------
    GoneError
        One of the two has expired.
    RequestError
        `to` lies before `from`, or the answer has more rows than allowed.
    """
    before, after = _resolve(reader, "from", request.from_), _resolve(reader, "to", request.to)
    if (before.as_of_us or 0) > (after.as_of_us or 0):
        raise RequestError("to", "lies before `from`: exchange the two")
    wanted = [name for name in TABLES if request.table in (None, name) and _has_columns(name, request)]
    parts = [_added(reader, before, after, name, request) for name in wanted]
    rows = pa.concat_tables([part for part, _ in parts]) if parts else SCHEMA.empty_table()
    if rows.num_rows > reader.max_rows:
        raise RequestError(
            "table", f"the answer has {rows.num_rows} rows; ask for one table, exchange or symbol"
        )
    removed = sum(gone for _, gone in parts)
    message = f"{removed} rows were there before and are not after: another program removed them"
    notices = (Notice("rows_removed", message, removed),) if removed else ()
    return Result(rows, after.ids, after.as_of_us, None, notices)


def _resolve(reader: Reader, parameter: str, text: str | None) -> SnapshotSet:
    """The set of one end."""
    try:
        found = reader.snapshots.resolve(TABLES, (), make(Request, **_pin(text)))
    except RequestError as error:
        raise type(error)(parameter, error.detail) from error
    if found.known_until_us is not None:
        raise GoneError(
            parameter, "the snapshots of that time have expired, so nothing tells what came after"
        )
    return found


def _pin(text: str | None) -> dict[str, object]:
    """What a moment's text is: none begins as another."""
    if text is None:
        return {}
    if text.isascii() and text.isdecimal():
        return {"snapshot_id": text}
    return {"tag" if TAG.fullmatch(text) else "as_of": text}


def _has_columns(name: str, request: DiffRequest) -> bool:
    """Whether a table has the columns that are asked by."""
    asked = {"symbol": bool(request.symbol), "exchange": request.exchange is not None}
    present = SPECS[Name(name)].arrow_schema.names
    return all(column in present for column, given in asked.items() if given)


def _added(
    reader: Reader, before: SnapshotSet, after: SnapshotSet, name: str, request: DiffRequest
) -> tuple[pa.Table, int]:
    """Rows of the answer for one table, and how many rows are gone from it."""
    terms = named(request.symbol, request.exchange)
    old = {file.location for file in reader.files(before, name, terms)}
    new = {file.location for file in reader.files(after, name, terms)}
    if new == old:
        return SCHEMA.empty_table(), 0
    sql, parameters = _statement(reader, before, after, name, (sorted(new - old), sorted(old - new)), terms)
    with reader.kept(before), reader.kept(after):
        rows = reader.session.fetch(f"{sql} SELECT * FROM counted ORDER BY ALL", parameters)
        gone = (
            reader.session.fetch(f"{sql} SELECT count(*) AS n FROM gone", parameters) if old - new else None
        )
    for column, found in (("from_snapshot_id", before), ("to_snapshot_id", after)):
        rows = rows.append_column(column, pa.array([found.ids[name]] * rows.num_rows, pa.int64()))
    return rows.cast(SCHEMA), 0 if gone is None else int(gone["n"][0].as_py())


def _statement(
    reader: Reader,
    before: SnapshotSet,
    after: SnapshotSet,
    name: str,
    files: tuple[list[str], list[str]],
    terms: Filter,
) -> tuple[str, dict[str, Any]]:
    """SQL that defines `counted` and `gone`, and its parameters."""
    with reader.kept(before), reader.kept(after):
        came = reader.scanner.relation(after.versions[name], files[0], "came")
        went = reader.scanner.relation(before.versions[name], files[1], "went")
    condition, values = where(terms)
    keys = ", ".join(map(quoted, _KEYS.get(name, _PLACE)))
    present = came.schema.names
    exchange, symbol = (c if c in present else f"NULL::VARCHAR AS {c}" for c in ("exchange", "symbol"))
    time = "timestamp" if "timestamp" in present else "NULL::TIMESTAMPTZ"
    sql = f"""WITH came AS (SELECT * FROM ({came.sql}) WHERE {condition}),
went AS (SELECT * FROM ({went.sql}) WHERE {condition}),
gone AS (SELECT {keys} FROM went ANTI JOIN came USING ({keys})),
counted AS (
  SELECT '{name}' AS "table", {exchange}, {symbol}, log_id, topic, "partition", min("offset") AS "start",
    max("offset") + 1 AS "end", count(*) AS "rows", min({time}) AS first_timestamp, max({time}) AS last_timestamp
  FROM came ANTI JOIN went USING ({keys}) GROUP BY ALL)"""
    return sql, {**came.parameters, **went.parameters, **values}
