"""Dead letters: records that could not be read, and whether they were sent again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from k2app.lake.ledger import RETRACTED
from k2app.lake.redriven import REDRIVE, Coordinates, places_of
from k2app.lake.tables import Name as Table
from k2app.query.answers.page import Key, Place, from_cursor, to_cursor
from k2app.query.answers.result import Result
from k2app.query.reading.filters import between, equal, known_until
from k2app.query.reading.reader import LOADS, Reader
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.requests import Bound, Name, Paged, Ranged
from k2app.query.times import LAST_US

DEAD_LETTERS = Table.DEAD_LETTERS.value

SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("log_id", pa.string()),
        ("log_timestamp", pa.timestamp("us", tz="UTC")),
        ("committed_at", pa.timestamp("us", tz="UTC")),
        ("reason", pa.string()),
        ("schema_id", pa.int32()),
        ("key", pa.string()),
        ("payload", pa.string()),
        ("state", pa.string()),
        ("load_id", pa.string()),
    ]
)
"""One row per dead letter, in order of `log_timestamp` (when the log took it), `log_id`, `topic`, `partition`,
`offset`. `key` and `payload` are base64 (RFC 4648) of the bytes as they were; null is null. `state`: `open`; `redriven`
by the load `load_id`; or `begun`: `load_id` was sending it and died, so that it may be on the log again or not."""

_ORDER = 'log_timestamp, log_id, topic, "partition", "offset"'

_CURSOR_TYPES = (int, str, str, int, int)
"""Values of the order's columns; the time in microseconds."""

_REDRIVES = """
SELECT load_id, file, max(recorded_at) AS newest, bool_or(state = $retracted) AS retracted,
  bool_or(state = 'sent') AS sent, bool_or(state = 'failed') AS failed
FROM matching GROUP BY load_id, file ORDER BY sent, newest, load_id
"""

_LETTERS = f"""
, fates AS (
  SELECT unnest($logs::VARCHAR[]) AS log_id, unnest($topics::VARCHAR[]) AS topic,
    unnest($partitions::INTEGER[]) AS "partition", unnest($offsets::BIGINT[]) AS "offset",
    unnest($states::VARCHAR[]) AS state, unnest($loads::VARCHAR[]) AS load_id)
SELECT topic, "partition", "offset", log_id, log_timestamp, committed_at, reason, schema_id,
  to_base64(key) AS key, to_base64(value) AS payload, coalesce(state, 'open') AS state, load_id
FROM matching LEFT JOIN fates USING (log_id, topic, "partition", "offset")
WHERE ($state::VARCHAR IS NULL OR coalesce(state, 'open') = $state)
  AND (NOT $later OR (log_timestamp, log_id, topic, "partition"::BIGINT, "offset") > (
    make_timestamptz($key_0::BIGINT), $key_1::VARCHAR, $key_2::VARCHAR, $key_3::BIGINT, $key_4::BIGINT))
ORDER BY {_ORDER} LIMIT $rows
"""

Fates = dict[Coordinates, tuple[str, str]]
"""State and load id, by log, topic, partition and offset; a letter that is open is not there."""


class DeadLettersRequest(Ranged, Paged):
    """Records that could not be read."""

    topic: Name | None = Field(None, description="Only of this topic.")
    partition: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="Only of this partition."
    )
    start: Bound | None = Field(None, description="On the log from this time on, inclusive.")
    end: Bound | None = Field(None, description="On the log before this time.")
    state: Literal["open", "begun", "redriven"] | None = Field(None, description="Only in this state.")


def read_dead_letters(reader: Reader, request: DeadLettersRequest) -> Result:
    """Read a page of dead letters.

    Raises
    ------
    RequestError
        The limit is larger than allowed, or the cursor is not one for this request.
    """
    reader.check_limit(request.limit)
    question = [DEAD_LETTERS, request.identity()]
    # The ledger is no less asked for than the letters: they are sent again after they were committed.
    tables = (DEAD_LETTERS, LOADS)
    if request.cursor is None:
        found, after = reader.snapshots.resolve(tables, (), request), None
    else:
        place = from_cursor(request.cursor, question, _CURSOR_TYPES)
        found, after = reader.snapshots.resume(tables, (), place), place.key
    terms = (
        *equal("topic", request.topic),
        *equal("partition", request.partition),
        *between("log_timestamp", request.start, request.end),
    )
    values = {**_fate_lists(_fates(reader, found)), **_key_values(after), "state": request.state}
    rows = reader.query(found, DEAD_LETTERS, terms, _LETTERS, {**values, "rows": request.limit + 1})
    shown = rows.slice(0, request.limit).cast(SCHEMA)
    following = _place(found, shown) if rows.num_rows > request.limit else None
    return Result(
        shown, found.ids, found.as_of_us, None if following is None else to_cursor(following, question)
    )


def _fates(reader: Reader, found: SnapshotSet) -> Fates:
    """What became of letters that were sent again; what was sent counts before what was begun, the newest first."""
    terms = (*equal("profile", REDRIVE), *known_until(found.cut_us(LOADS), "recorded_at"))
    fates: Fates = {}
    for row in reader.query(found, LOADS, terms, _REDRIVES, {"retracted": RETRACTED}).to_pylist():
        if not row["retracted"] and (row["sent"] or not row["failed"]):
            state = "redriven" if row["sent"] else "begun"
            fates |= dict.fromkeys(places_of(row["file"]), (state, row["load_id"]))
    return fates


def _fate_lists(fates: Fates) -> dict[str, Any]:
    names = ("logs", "topics", "partitions", "offsets", "states", "loads")
    rows = [(*place, *fate) for place, fate in fates.items()]
    return {name: [row[number] for row in rows] for number, name in enumerate(names)}


def _key_values(after: Key | None) -> dict[str, Any]:
    key = after or (LAST_US, "", "", 0, 0)
    return {"later": after is not None, **{f"key_{number}": value for number, value in enumerate(key)}}


def _place(found: SnapshotSet, shown: pa.Table) -> Place:
    last = shown.slice(shown.num_rows - 1, 1)
    names = ("log_id", "topic", "partition", "offset")
    key = (last["log_timestamp"].cast(pa.int64())[0].as_py(), *(last[name][0].as_py() for name in names))
    return found.place(key)
