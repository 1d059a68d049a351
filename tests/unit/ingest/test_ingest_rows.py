from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from k2app.ingest.rows import EARLIEST_US, KNOWN_COLUMNS, LATEST_US, flag_counts, process
from k2app.lake.tables import SPECS, Name
from k2app.market.sequence_states import States
from k2app.market.topics import DataType
from tests.pipeline.homes import OPEN_US, counting, trades
from tests.unit.ingest.ingest_messages import LOG, SCHEMA_ID, WRITERS, batch_of, messages, reader, source

TOPIC = "market.equities.trades.asx"


def done(values, *, states=None, writers=WRITERS, refusals=None, **given):
    batch = batch_of(values, **{k: v for k, v in given.items() if k != "dead"})
    dead = given.get("dead", frozenset())
    return process(batch, source(), states or States.empty(), writers, refusals or {}, dead)


def reasons(processed):
    letters = processed.dead_letters
    return dict(zip(letters["offset"].to_pylist(), letters["reason"].to_pylist(), strict=True))


def with_column(rows, name, value):
    at = rows.column_names.index(name)
    return rows.set_column(at, name, pa.array([value] * rows.num_rows, rows.schema.field(name).type))


def test_row_of_the_lake_is_the_record_and_where_it_came_from():
    """Every field as published, the verdict of the check, and the coordinates; nothing else."""
    found = done(messages(trades([("BHP", 1)])), first=41).rows.to_pylist()
    time = datetime.fromtimestamp(OPEN_US / 1e6, UTC)
    expected = {
        "symbol": "BHP", "exchange": "asx", "asset_class": "equities", "timestamp": time,
        "price": Decimal("100.00000000"), "quantity": Decimal("1.00000000"), "currency": "AUD", "side": "BUY",
        "trade_id": "T0", "conditions": [], "sequence": 1, "ingested_at": time, "load_id": None,
        "source_line": 0, "attributes": None, "sequence_flag": "first", "epoch": 0,
        "trading_date": date(2026, 1, 5), "log_id": LOG, "topic": TOPIC, "partition": 0, "offset": 41,
    }  # fmt: skip
    assert [expected] == found


@pytest.mark.parametrize("values", [[], [None], [b"x"]])
def test_batch_without_a_good_record_has_empty_tables_of_the_right_columns(values):
    """Nothing to write is a table of no rows, with the lake's columns but the writer's own."""
    found = done(values)
    for name, table in ((Name.TRADES, found.rows), (Name.GAPS, found.gaps)):
        assert 0 == table.num_rows
        assert [c for c in SPECS[name].arrow_schema.names if c not in KNOWN_COLUMNS] == table.column_names
    assert len(values) == found.dead_letters.num_rows
    assert {} == flag_counts(found.rows)


def test_broken_records_leave_their_neighbours_alone():
    """Truncated, unframed, of an unknown schema, a tombstone: each a dead letter with its bytes and a reason."""
    good = messages(trades(counting(1, 3)))
    values = [
        good[0],
        good[1][:-3],
        b"not avro",
        None,
        good[1],
        b"\0\0\0\0\x63tail",
        b"",
        good[2] + b"!",
        good[2],
    ]
    found = done(values, first=100)
    assert [100, 104, 108] == found.rows["offset"].to_pylist()
    assert ["first", "ok", "ok"] == found.rows["sequence_flag"].to_pylist()
    letters = found.dead_letters.to_pylist()
    assert [101, 102, 103, 105, 106, 107] == [r["offset"] for r in letters]
    assert [values[r["offset"] - 100] for r in letters] == [r["value"] for r in letters]
    assert [b"key-%d" % r["offset"] for r in letters] == [r["key"] for r in letters]
    assert [SCHEMA_ID, None, None, 99, None, SCHEMA_ID] == [r["schema_id"] for r in letters]
    why = reasons(found)
    assert "null value (tombstone)" == why[103]
    assert "unknown schema id 99" == why[105]
    assert all(why.values())


def test_reason_of_a_refused_schema_is_the_registrys():
    """A message of a schema that cannot be read says which and why, rather than that it is unknown."""
    refusals = {99: "schema id 99 cannot be read: unions of two types"}
    found = done([b"\0\0\0\0\x63tail"], refusals=refusals)
    assert {0: refusals[99]} == reasons(found)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("exchange", "binance", f"exchange is 'binance' on topic {TOPIC}"),
        ("asset_class", "crypto", f"asset_class is 'crypto' on topic {TOPIC}"),
        (
            "timestamp",
            EARLIEST_US - 1,
            f"timestamp {EARLIEST_US - 1} µs is not between the years 1900 and 2200",
        ),
        ("timestamp", LATEST_US, f"timestamp {LATEST_US} µs is not between the years 1900 and 2200"),
    ],
)
def test_good_record_that_does_not_belong_here_is_a_dead_letter(column, value, reason):
    """Another venue's record, or a time no market ever had, takes no number and shifts no neighbour."""
    good, misfit = trades(counting(1, 2)), with_column(trades([("S0", 2)]), column, value)
    values = [*messages(good.slice(0, 1)), *messages(misfit), *messages(good.slice(1))]
    found = done(values)
    assert {1: reason} == reasons(found)
    assert ["first", "ok"] == found.rows["sequence_flag"].to_pylist()


@pytest.mark.parametrize("micros", [EARLIEST_US, LATEST_US - 1])
def test_first_and_last_possible_times_are_taken(micros):
    """The bounds are [1900, 2200)."""
    found = done(messages(with_column(trades([("S0", 1)]), "timestamp", micros)))
    assert [micros] == found.rows["timestamp"].cast(pa.int64()).to_pylist()


def test_dead_offsets_stay_dead():
    """What an earlier attempt has dead-lettered is neither a row nor a second letter, whatever decodes now."""
    values = messages(trades(counting(1, 4)))
    found = done([values[0], values[1], b"broken", values[2]], dead=frozenset({1, 2, 7}))
    assert [0, 3] == found.rows["offset"].to_pylist()
    assert ["first", "gap"] == found.rows["sequence_flag"].to_pylist()
    # Offset 2 does not decode now either: the lake's anti-join leaves the second letter out.
    assert {2} == set(reasons(found))


def test_states_before_the_batch_are_not_touched():
    """The check makes new states: the old ones are still good if the new are thrown away."""
    before = done(messages(trades(counting(2, 3)))).states
    digest = before.digest()
    after = done(messages(trades(counting(2, 3, first=5))), states=before).states
    assert digest == before.digest()
    assert digest != after.digest()


def test_gap_event_carries_the_place_of_the_record_that_showed_it():
    """A hole is written down with its numbers, size, date and the offset of the record after it."""
    values = messages(trades([("BHP", 1), ("BHP", 14), ("BHP", 5)]))
    found = done([values[0], b"broken", *values[1:]], first=10)
    opened, filled = found.gaps.to_pylist()
    assert ("opened", 2, 13, 12, "large", 12) == tuple(
        opened[k] for k in ("event", "from_sequence", "to_sequence", "missing", "severity", "offset")
    )
    assert ("filled", 5, 5, 1, "small", 13) == tuple(
        filled[k] for k in ("event", "from_sequence", "to_sequence", "missing", "severity", "offset")
    )
    assert {date(2026, 1, 5)} == {opened["trading_date"], filled["trading_date"]}


def test_reference_data_is_laid_out_unchecked():
    """No sequence columns, no gap events; a tombstone is kept as a dead letter."""
    kind = DataType.REFERENCE_DATA
    shell = trades([("BHP", None)]).select(
        [
            "symbol",
            "exchange",
            "asset_class",
            "currency",
            "ingested_at",
            "load_id",
            "source_line",
            "attributes",
        ]
    )
    rows = shell.append_column("company_id", pa.array(["7078"])).append_column(
        "name", pa.array(["BHP Group"])
    )
    for name, kind_of in (("isin", pa.string()), ("listed_from", pa.date32()), ("listed_to", pa.date32())):
        rows = rows.append_column(name, pa.nulls(1, kind_of))
    batch = batch_of([*messages(rows, kind), None], of=source(kind))
    found = process(batch, source(kind), States.empty(), {SCHEMA_ID: reader(kind)}, {})
    (row,) = found.rows.to_pylist()
    assert ("7078", "BHP Group", 0) == (row["company_id"], row["name"], row["offset"])
    assert 0 == found.gaps.num_rows
    assert {1: "null value (tombstone)"} == reasons(found)


def test_rows_by_flag():
    """Counts of a flush's rows, flags that occur only."""
    found = done(messages(trades([("A", 1), ("A", 2), ("B", 1), ("A", None), ("A", 2)])))
    assert {"first": 2, "ok": 1, "unsequenced": 1, "duplicate": 1} == flag_counts(found.rows)
