"""Two homes held against each other: everything that must not depend on who was killed when."""

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.lake.audit import completeness
from k2app.lake.floors import floor_in_force
from k2app.lake.tables import Name
from tests.pipeline.homes import TRADES, Home

TABLES = (Name.TRADES, Name.GAPS, Name.DEAD_LETTERS)

VARYING = frozenset({"commit_id", "committed_at"})
"""Columns that say when and by which flush a row was committed."""

COORDINATES = ("log_id", "topic", "partition", "offset", "event_index")

WATERMARK = b'"watermark"'

WHOLE = {"max_rows": 10**9, "max_bytes": 2**40}


def differences(home: Home, other: Home) -> list[str]:
    """What differs between two homes of one log; empty: nothing."""
    return [
        *(problem for name in TABLES for problem in _table(name, rows_of(home, name), rows_of(other, name))),
        *_equal("floors", floors(home), floors(other)),
        *_equal("sequence states", states(home), states(other)),
        *faults(home),
        *(f"in the other: {problem}" for problem in faults(other)),
    ]


def faults(home: Home) -> list[str]:
    """What is wrong with one home by itself: rows missing or twice, metadata that does not add up."""
    found = [f"audit of {TRADES}: {p}" for p in completeness(home.table(Name.TRADES))]
    places = pa.concat_tables(
        [rows_of(home, name).select(["partition", "offset"]) for name in (Name.TRADES, Name.DEAD_LETTERS)]
    )
    for partition, end in home.ends().items():
        mine = pc.filter(places["offset"], pc.equal(places["partition"], partition))
        offsets = np.sort(mine.combine_chunks().to_numpy())
        if not np.array_equal(offsets, np.arange(end)):
            found.append(f"partition {partition}: {len(offsets)} offsets are in the lake, {end} in the log")
    return found


def rows_of(home: Home, name: Name) -> pa.Table:
    """Rows of a table in order of coordinates, without the columns that vary; strings as plain strings."""
    rows = home.table(name).scan().to_arrow()
    rows = rows.drop_columns(sorted(VARYING & set(rows.column_names)))
    rows = rows.sort_by([(c, "ascending") for c in COORDINATES if c in rows.column_names])
    return rows.combine_chunks()


def flags(home: Home) -> Counter[str]:
    """Rows by sequence flag."""
    return Counter(home.table(Name.TRADES).scan(selected_fields=("sequence_flag",)).to_arrow()[0].to_pylist())


def floors(home: Home) -> dict:
    """Floor and fingerprint by partition."""
    return dict(floor_in_force(home.table(Name.TRADES).metadata).partitions)


def states(home: Home) -> dict:
    """Sequence states by changelog, partition and key; of the watermarks what does not name the lake."""
    found = {}
    for topic in home.log.topics():
        for partition in range(topic.partitions if topic.name.endswith("-changelog") else 0):
            batch = home.log.read(topic.name, partition, 0, **WHOLE)
            for i in range(0 if batch is None else len(batch)):
                key, value = batch.key(i), batch.value(i)
                found[topic.name, partition, key] = _without_lake(value) if key == WATERMARK else value
    return {place: value for place, value in found.items() if value is not None}


def _without_lake(watermark: bytes) -> dict:
    return {k: v for k, v in json.loads(watermark).items() if k != "table_uuid"}


def _table(name: Name, mine: pa.Table, other: pa.Table) -> Iterator[str]:
    if mine.num_rows != other.num_rows:
        yield f"{name}: {mine.num_rows:,} rows, {other.num_rows:,} in the other"
        return
    for column in mine.column_names:
        left, right = mine[column], other[column]
        if not left.equals(right):
            at = next(i for i in range(len(left)) if left[i].as_py() != right[i].as_py())
            yield f"{name}.{column}: {left[at]} and {right[at]} in row {mine.slice(at, 1).to_pylist()}"


def _equal(what: str, mine: dict, other: dict) -> Iterator[str]:
    if mine != other:
        keys = sorted(k for k in mine.keys() | other.keys() if mine.get(k) != other.get(k))
        yield f"{what} differ at {keys[0]}: {mine.get(keys[0])} and {other.get(keys[0])} (of {len(keys)})"
