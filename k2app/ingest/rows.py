"""From one batch of messages to rows of the lake: pure, columns throughout.

Rows here carry every column of their table except `committed_at` and `commit_id`, which the lake's writer adds.
Columns with one value per batch are dictionaries of one entry: they cost a byte a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2app.avro.decode import Decoded, Failure, decode
from k2app.avro.schema import Schema
from k2app.ingest.past import Past, with_past
from k2app.lake.tables import SPECS, Name
from k2app.market.exchanges import Exchange
from k2app.market.sequence_flags import FLAGS, Int32s
from k2app.market.sequence_groups import Arrivals
from k2app.market.sequence_rules import Rule
from k2app.market.sequence_states import States
from k2app.market.sequences import Checked, check
from k2app.market.sessions import trading_dates
from k2app.market.topics import DataType, Topic
from k2app.stream.record_batch import NULL_LENGTH, Int64s, RecordBatch

EARLIEST_US = -2_208_988_800_000_000
"""1900-01-01, microseconds since 1970: no market data is older; an earlier event time is a broken record."""

LATEST_US = 7_258_118_400_000_000
"""2200-01-01, microseconds since 1970: a later event time is a broken record."""

KNOWN_COLUMNS = ("committed_at", "commit_id")
"""Columns that the lake's writer adds."""


@dataclass(frozen=True)
class Source:
    """What every record of a topic shares."""

    topic: Topic
    exchange: Exchange
    reader: Schema
    max_open_gaps: int

    @property
    def data_type(self) -> DataType:
        """What the topic carries."""
        return self.topic.data_type

    @property
    def rule(self) -> Rule:
        """Sequence rule in force."""
        return self.exchange.rule(self.data_type)

    @property
    def sequenced(self) -> bool:
        """Whether the topic's records are checked for sequence."""
        return self.data_type is not DataType.REFERENCE_DATA


@dataclass(frozen=True)
class Processed:
    """What one batch became. `changed` holds indices into `states`; they stay valid as states grow."""

    rows: pa.Table
    dead_letters: pa.Table
    gaps: pa.Table
    states: States
    changed: Int64s


def process(
    batch: RecordBatch,
    source: Source,
    states: States,
    writers: Mapping[int, Schema],
    refusals: Mapping[int, str],
    dead: frozenset[int] = frozenset(),
    past: Past | None = None,
) -> Processed:
    """Decode a batch, check its sequences, lay its rows out.

    Parameters
    ----------
    batch
        Records in offset order, none processed before.
    states
        States including every record before the batch.
    writers
        Schemas of the ids that occur.
    refusals
        Why a registered schema cannot be read, by id.
    dead
        Offsets that are dead letters already, from an attempt that did not reach its commit: they stay so.
    past
        How to get states of past trading dates back that were evicted; None: none were.
    """
    decoded, failures = _decode(batch, source, writers, refusals, dead)
    letters = dead_letter_rows(batch, failures)
    if not source.sequenced:
        rows = _lake_rows(Name.REFERENCE_DATA, decoded.batch, batch, decoded.rows, {})
        return Processed(rows, letters, empty_rows(Name.GAPS), states, np.zeros(0, np.int64))
    dates, checked = _check(decoded, source, states, past)
    rows = _lake_rows(
        Name(source.data_type.value), decoded.batch, batch, decoded.rows, _checked_columns(dates, checked)
    )
    return Processed(
        rows, letters, _gap_rows(batch, decoded, source, checked), checked.states, checked.changed
    )


def _decode(
    batch: RecordBatch,
    source: Source,
    writers: Mapping[int, Schema],
    refusals: Mapping[int, str],
    dead: frozenset[int],
) -> tuple[Decoded, list[Failure]]:
    solid = np.flatnonzero(batch.value_lengths != NULL_LENGTH)
    starts = batch.starts[solid]
    found = decode(batch.data, starts, starts + batch.value_lengths[solid], writers, source.reader)
    failures = [Failure(int(solid[f.index]), _reason(f.reason, refusals)) for f in found.failures]
    failures += [Failure(int(i), "null value (tombstone)") for i in _rows_without(batch, solid)]
    good = Decoded(found.batch, solid[found.rows], failures)
    misfits = _misfits(good, batch, source, dead)
    if misfits:
        keep = ~np.isin(good.rows, np.fromiter(misfits, np.int64, len(misfits)))
        good = Decoded(good.batch.filter(pa.array(keep)), good.rows[keep], failures)
        failures += [Failure(row, reason) for row, reason in misfits.items()]
    return good, sorted(failures, key=lambda f: f.index)


def _rows_without(batch: RecordBatch, solid: Int64s) -> Int64s:
    return np.setdiff1d(np.arange(len(batch)), solid, assume_unique=True)


def _reason(reason: str, refusals: Mapping[int, str]) -> str:
    prefix = "unknown schema id "
    if reason.startswith(prefix):
        return refusals.get(int(reason.removeprefix(prefix)), reason)
    return reason


def _misfits(good: Decoded, batch: RecordBatch, source: Source, dead: frozenset[int]) -> dict[int, str]:
    """Good records that do not belong on this topic, by row, with the reason."""
    columns, found = good.batch, {}
    for name, expected in (
        ("exchange", source.topic.exchange),
        ("asset_class", str(source.topic.asset_class)),
    ):
        wrong = pc.not_equal(pc.cast(columns.column(name), pa.string()), expected).to_numpy(
            zero_copy_only=False
        )
        for at in np.flatnonzero(wrong):
            got = columns.column(name)[int(at)].as_py()
            found[int(good.rows[at])] = f"{name} is {got!r} on topic {source.topic.name}"
    if source.sequenced:
        times = columns.column("timestamp").cast(pa.int64()).to_numpy()
        for at in np.flatnonzero((times < EARLIEST_US) | (times >= LATEST_US)):
            found[int(good.rows[at])] = (
                f"timestamp {int(times[at])} µs is not between the years 1900 and 2200"
            )
    if dead:
        for at in np.flatnonzero(np.isin(batch.offsets[good.rows], np.fromiter(dead, np.int64, len(dead)))):
            found[int(good.rows[at])] = "already in the dead letters"
    return found


def _check(decoded: Decoded, source: Source, states: States, past: Past | None) -> tuple[Int32s, Checked]:
    columns = decoded.batch
    times = columns.column("timestamp").cast(pa.int64()).to_numpy()
    dates = trading_dates(source.exchange, times)
    sequence = columns.column("sequence")
    arrivals = Arrivals(
        symbol=columns.column("symbol"),
        scope=source.rule.scopes(dates),
        sequence=sequence.fill_null(0).to_numpy(),
        has_sequence=sequence.is_valid().to_numpy(zero_copy_only=False),
        timestamp_us=times,
    )
    known = states if past is None else with_past(states, arrivals, past)
    return dates, check(arrivals, known, source.rule, max_open_gaps=source.max_open_gaps)


def _checked_columns(dates: Any, checked: Checked) -> dict[str, pa.Array]:
    return {
        "sequence_flag": pa.DictionaryArray.from_arrays(pa.array(checked.flags), pa.array(FLAGS)),
        "epoch": pa.array(checked.epochs),
        "trading_date": pa.array(dates).cast(pa.date32()),
    }


def _lake_rows(
    name: Name, columns: pa.RecordBatch, batch: RecordBatch, rows: Int64s, more: Mapping[str, pa.Array]
) -> pa.Table:
    arrays = dict(zip(columns.schema.names, columns.columns, strict=True)) | dict(more) | _place(batch, rows)
    wanted = [f for f in SPECS[name].arrow_schema if f.name not in KNOWN_COLUMNS]
    # A field that the newest schema no longer has: its column stays.
    return pa.table({f.name: arrays.get(f.name, pa.nulls(len(rows), f.type)) for f in wanted})


def _place(batch: RecordBatch, rows: Int64s) -> dict[str, pa.Array]:
    return {
        "log_id": constant(batch.log_id, len(rows)),
        "topic": constant(batch.topic, len(rows)),
        "partition": pa.array(np.full(len(rows), batch.partition, np.int32)),
        "offset": pa.array(batch.offsets[rows]),
    }


def constant(value: str, n: int) -> pa.DictionaryArray:
    """`n` times the same text, at a byte each."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([value]))


def dead_letter_rows(batch: RecordBatch, failures: list[Failure]) -> pa.Table:
    """Records that could not be read, with their bytes and the reason."""
    failures = [f for f in failures if f.reason != "already in the dead letters"]
    at = np.fromiter((f.index for f in failures), np.int64, len(failures))
    values = [batch.value(int(i)) for i in at]
    columns = {
        "reason": pa.array([f.reason for f in failures], pa.string()),
        "schema_id": pa.array([_schema_id(v) for v in values], pa.int32()),
        "log_timestamp": pa.array(batch.times_us[at]).cast(pa.timestamp("us", "UTC")),
        "key": pa.array([batch.key(int(i)) for i in at], pa.binary()),
        "value": pa.array(values, pa.binary()),
    }
    return pa.table(columns | _place(batch, at))


def _schema_id(value: bytes | None) -> int | None:
    if value is None or len(value) < 5 or value[0] != 0:  # noqa: PLR2004 - the frame: magic byte 0, four bytes of id
        return None
    schema_id = int.from_bytes(value[1:5], "big")
    return schema_id if schema_id < 2**31 else None


def _gap_rows(batch: RecordBatch, decoded: Decoded, source: Source, checked: Checked) -> pa.Table:
    events = checked.events
    at = decoded.rows[events.column("row").to_numpy()]
    n = len(at)
    scope = events.column("scope").combine_chunks().cast(pa.int32())
    dated = source.rule.scope == "trading_date"
    columns = {
        "exchange": constant(source.topic.exchange, n),
        "asset_class": constant(str(source.topic.asset_class), n),
        "data_type": constant(str(source.data_type), n),
        "trading_date": scope.cast(pa.date32()) if dated else pa.nulls(n, pa.date32()),
        "timestamp": events.column("timestamp_us").cast(pa.timestamp("us", "UTC")),
    }
    for name in (
        "event",
        "symbol",
        "epoch",
        "from_sequence",
        "to_sequence",
        "missing",
        "severity",
        "event_index",
    ):
        columns[name] = events.column(name)
    columns |= _place(batch, at)
    return pa.table({n: columns[n] for n in SPECS[Name.GAPS].arrow_schema.names if n not in KNOWN_COLUMNS})


def empty_rows(name: Name) -> pa.Table:
    """No rows of a table, with the columns that rows have here."""
    schema = SPECS[name].arrow_schema
    return pa.schema([f for f in schema if f.name not in KNOWN_COLUMNS]).empty_table()


def flag_counts(rows: pa.Table) -> dict[str, int]:
    """Rows by sequence flag; empty for tables without one."""
    if "sequence_flag" not in rows.column_names or not len(rows):
        return {}
    counted = pc.value_counts(rows.column("sequence_flag").cast(pa.string()))
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}
