"""Copies: records that came before, told by their content.

The sequence check sees numbers and times only. A number that was there before may be a copy, a correction under the
same number, or a record of another epoch; only its content tells. So before a flush is written, its candidates are
compared with the rows of the same symbol and sequence number that came earlier, in the lake and in the flush itself:

| candidate | an earlier visible row has equal content | none has |
|---|---|---|
| flagged `duplicate` | stays `duplicate`: hidden | `conflict`: visible |
| flagged `regressed` or `uncertain` | `duplicate` | stays |
| any other flag, in an epoch after a reset | `duplicate` | stays |

Content is everything but when and from which file it was read. Rows of retracted loads are not visible, so a copy of
one is news. Nothing that may be new is ever hidden: equal content under the same number is no news. Only rows at lower
offsets count, so the verdict does not depend on where flushes are cut. The states do not change: they follow from the
numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.lake.content import content_columns
from k2app.lake.tables import Name
from k2app.market.sequence_flags import CONFLICT, DUPLICATE, FLAGS, REGRESSED, RESET, UNCERTAIN, Int64s

TELL_BY_CONTENT = (DUPLICATE, REGRESSED, UNCERTAIN)
"""Flags of records whose number was there before, or may have been."""

SLICE_ROWS = 65_536
"""Candidates compared at once: bounds the rows of the lake held in memory, if their times are close together."""

LakeCopies = Callable[[str, list[str], int, int], pa.Table]
"""Visible rows of a topic: (topic, symbols, first and last event time in µs, both included) -> content and offset."""


def settle(name: Name, rows: pa.Table, earlier: LakeCopies) -> pa.Table:
    """Give candidates their final flag; see the module's docstring.

    Parameters
    ----------
    name
        Main table of the rows; reference data has no sequence and is returned as it is.
    rows
        Rows of one flush, each partition's in offset order.
    earlier
        Reads the lake, whose rows all came before.
    """
    if "sequence_flag" not in rows.column_names or not rows.num_rows:
        return rows
    flags = flag_codes(rows)
    candidates = np.flatnonzero(_candidates(rows, flags))
    if not len(candidates):
        return rows
    copied = _copies(name, rows, candidates, earlier)
    settled = flags.copy()
    settled[candidates[copied]] = DUPLICATE
    alone = candidates[~copied]
    settled[alone[flags[alone] == DUPLICATE]] = CONFLICT
    column = pa.DictionaryArray.from_arrays(pa.array(settled), pa.array(FLAGS))
    return rows.set_column(rows.column_names.index("sequence_flag"), "sequence_flag", column)


def flag_codes(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Flag code of each row."""
    texts = rows.column("sequence_flag").cast(pa.string())
    codes: np.ndarray[Any, np.dtype[np.int8]] = (
        pc.index_in(texts, value_set=pa.array(FLAGS)).combine_chunks().to_numpy().astype(np.int8)
    )
    return codes


def _candidates(rows: pa.Table, flags: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.isin(flags, TELL_BY_CONTENT)
    epochs = rows.column("epoch").to_numpy()
    if (epochs > 0).any():
        # After a reset the numbers of an older epoch, sent again, look new. The first reset is none of them.
        found |= (epochs > 0) & (flags != RESET)
        found |= (epochs > 1) & (flags == RESET)
    return found


def _copies(
    name: Name, rows: pa.Table, candidates: Int64s, earlier: LakeCopies
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which candidates have an earlier visible row of equal content; bool, one per candidate."""
    columns = content_columns(name)
    asked = _plain(rows, [*columns, "topic", "partition", "offset"]).take(pa.array(candidates))
    asked = asked.append_column("place", pa.array(np.arange(len(candidates))))
    others = np.setdiff1d(np.arange(rows.num_rows), candidates, assume_unique=True)
    with duckdb.connect(config={"threads": 1}) as db:
        own = _plain(rows, [*columns, "topic", "partition", "offset"]).take(pa.array(others))
        copied = np.zeros(len(candidates), np.bool_)
        copied[_matches(db, columns, asked, own, "and e.partition = c.partition and e.offset < c.offset")] = (
            True
        )
        for part, lake in _lake_slices(asked, earlier):
            copied[_matches(db, columns, part, lake, "")] = True
        copied[_repeated(db, columns, asked)] = True
    return copied


def _lake_slices(asked: pa.Table, earlier: LakeCopies) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Candidates by topic and time, each with the rows of the lake that may be like them."""
    for topic in pc.unique(asked.column("topic")).to_pylist():
        of_topic = asked.filter(pc.equal(asked.column("topic"), topic)).sort_by("timestamp")
        for start in range(0, of_topic.num_rows, SLICE_ROWS):
            part = of_topic.slice(start, SLICE_ROWS)
            times = part.column("timestamp").cast(pa.int64())
            symbols = pc.unique(part.column("symbol")).to_pylist()
            yield part, earlier(topic, symbols, times[0].as_py(), times[-1].as_py())


def _matches(db: Any, columns: list[str], asked: pa.Table, others: pa.Table, also: str) -> Int64s:
    """Places of candidates with an equal row among others."""
    if not asked.num_rows or not others.num_rows:
        return np.zeros(0, np.int64)
    # Equal columns first: DuckDB hashes on them; a null never equals, and none of the three is null here.
    keys = ("symbol", "sequence", "timestamp")
    equal = " and ".join(f'e."{c}" = c."{c}"' for c in keys)
    same = " and ".join(f'e."{c}" is not distinct from c."{c}"' for c in columns if c not in keys)
    db.register("asked", asked)
    db.register("others", others)
    found = db.execute(
        f"select c.place from asked c where exists (select 1 from others e where {equal} and {same} {also})"
    )
    places: Int64s = found.fetchnumpy()["place"].astype(np.int64)
    return places


def _repeated(db: Any, columns: list[str], asked: pa.Table) -> Int64s:
    """Places of candidates that repeat an earlier candidate."""
    db.register("asked", asked)
    content = ", ".join(f'"{c}"' for c in columns)
    found = db.execute(
        "select place from (select place, row_number() over"
        f' (partition by topic, partition, {content} order by "offset") as nth from asked) where nth > 1'
    )
    places: Int64s = found.fetchnumpy()["place"].astype(np.int64)
    return places


def _plain(rows: pa.Table, columns: list[str]) -> pa.Table:
    """Columns with dictionaries as strings: DuckDB compares them by value."""
    arrays = [rows.column(c) for c in columns]
    plain = [a.cast(pa.string()) if pa.types.is_dictionary(a.type) else a for a in arrays]
    return pa.table(dict(zip(columns, plain, strict=True)))
