"""Dead letters: which ones are chosen, and which of them can be read by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo, GreaterThanOrEqual, In

from k2app.errors import OperatorError
from k2app.ingest.rows import Source, process
from k2app.ingest.schema_cache import SchemaCache
from k2app.lake.catalog import load as load_table
from k2app.lake.catalog import reading
from k2app.lake.redriven import Coordinates
from k2app.lake.tables import Name
from k2app.load.records import record_schema
from k2app.market.sequence_states import States
from k2app.query.times import EPOCH, MICROSECOND, micros_to_text
from k2app.settings import Settings
from k2app.stream.record_batch import NULL_LENGTH, RecordBatch

KEY = "_key"
"""Column of the message keys: those of the letters, whatever the records' own would be."""

COLUMNS = ("reason", "log_timestamp", "key", "value", "log_id", "topic", "partition", "offset")
"""Columns of a dead letter that are read."""


@dataclass(frozen=True)
class Letter:
    """A dead letter."""

    place: Coordinates
    reason: str
    log_time_us: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Selection:
    """Which dead letters; all that is given must hold.

    Parameters
    ----------
    places
        Topic, partition and offset of each one; none: whichever.
    since_us
        On the log from this time on.
    reason
        Part of what they were refused for.
    again
        Those that were sent before too.
    """

    places: frozenset[tuple[str, int, int]] = frozenset()
    topic: str | None = None
    since_us: int | None = None
    reason: str | None = None
    again: bool = False


def find_letters(catalog: Catalog, settings: Settings, asked: Selection) -> list[Letter]:
    """Dead letters that are chosen, in order of log, topic, partition and offset.

    Raises
    ------
    OperatorError
        One of the places has none.
    TransientError
        The lake does not answer.
    """
    table = load_table(catalog, settings, Name.DEAD_LETTERS)
    with reading("dead letters"):
        rows = table.scan(row_filter=_condition(asked), selected_fields=COLUMNS).to_arrow().to_pylist()
    letters = sorted((_letter(row) for row in rows), key=lambda letter: letter.place)
    chosen = [one for one in letters if asked.reason is None or asked.reason in one.reason]
    if not asked.places:
        return chosen
    missing = asked.places - {one.place[1:] for one in chosen}
    if missing:
        topic, partition, offset = min(missing)
        raise OperatorError(f"there is no such dead letter at {topic}/{partition}/{offset}")
    return [one for one in chosen if one.place[1:] in asked.places]


def judge(
    letters: list[Letter], source: Source, schemas: SchemaCache
) -> tuple[list[Letter], pa.Table, list[tuple[Letter, str]]]:
    """Decide as the worker would which letters can be read.

    Returns
    -------
    tuple
        Those that can; their records, one row each in that order, as Avro has them, with the column `KEY`; and those
        that cannot, with the reason.
    """
    batch = _to_batch(letters, source)
    solid = batch.value_lengths != NULL_LENGTH
    writers = schemas.writers(batch.data, batch.starts[solid], batch.value_lengths[solid])
    done = process(batch, source, States.empty(), writers, schemas.refusals())
    good = [letters[at] for at in done.rows["offset"].to_pylist()]
    refused = [
        (letters[at], reason)
        for at, reason in zip(
            done.dead_letters["offset"].to_pylist(), done.dead_letters["reason"].to_pylist(), strict=True
        )
    ]
    rows = done.rows.select(record_schema(source.data_type).names)
    own = rows["company_id" if not source.sequenced else "symbol"].cast(pa.string()).to_pylist()
    keys = [_text(letter.key) or key for letter, key in zip(good, own, strict=True)]
    return good, rows.append_column(KEY, pa.array(keys, pa.string())), refused


def _condition(asked: Selection) -> BooleanExpression:
    # pyiceberg's predicates take positional arguments, which their pydantic signature hides from the type checker
    equal: Any = EqualTo
    one_of: Any = In
    at_least: Any = GreaterThanOrEqual
    found: BooleanExpression = AlwaysTrue()
    if asked.places:
        # Letters are kept with their bytes: no more of them are read than may be chosen.
        topics, _, offsets = zip(*asked.places, strict=True)
        found = And(one_of("topic", set(topics)), one_of("offset", set(offsets)))
    if asked.topic is not None:
        found = And(found, equal("topic", asked.topic))
    if asked.since_us is not None:
        found = And(found, at_least("log_timestamp", micros_to_text(asked.since_us).replace("Z", "+00:00")))
    return found


def _letter(row: Mapping[str, Any]) -> Letter:
    place = Coordinates(row["log_id"], row["topic"], row["partition"], row["offset"])
    return Letter(
        place, row["reason"], (row["log_timestamp"] - EPOCH) // MICROSECOND, row["key"], row["value"]
    )


def _to_batch(letters: list[Letter], source: Source) -> RecordBatch:
    """The letters as one fetch; the offset of each is its number here."""
    values, value_starts, value_lengths = _joined([letter.value for letter in letters])
    keys, key_starts, key_lengths = _joined([letter.key for letter in letters])
    times = np.array([letter.log_time_us for letter in letters], np.int64)
    offsets = np.arange(len(letters), dtype=np.int64)
    return RecordBatch(
        "", source.topic.name, 0, offsets, times, values, value_starts, value_lengths, keys, key_starts, key_lengths
    )  # fmt: skip


def _joined(cells: list[bytes | None]) -> tuple[pa.Buffer, Any, Any]:
    lengths = np.array([NULL_LENGTH if cell is None else len(cell) for cell in cells], np.int64)
    ends = np.cumsum(np.maximum(lengths, 0))
    return pa.py_buffer(b"".join(cell or b"" for cell in cells)), ends - np.maximum(lengths, 0), lengths


def _text(key: bytes | None) -> str | None:
    """A key as text; None where it has none, and the record's own is taken."""
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None
