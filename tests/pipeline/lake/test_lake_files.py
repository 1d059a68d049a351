from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, LessThan

from k2app.errors import TransientError
from k2app.lake.catalog import load
from k2app.lake.commit import Addition, Commit, Pace
from k2app.lake.fileio import local_path
from k2app.lake.files import ROW_GROUP_ROWS, write_files
from k2app.lake.tables import SPECS, Name
from tests.lake_rows import DAY_US, MONDAY_US, TIME, same, trades

SPEC = SPECS[Name.TRADES]


@pytest.fixture
def table(catalog, settings):
    return load(catalog, settings, Name.TRADES)


def stamped(rows):
    """Rows with what the writer adds."""
    times = pa.array(np.full(rows.num_rows, MONDAY_US), TIME)
    return rows.append_column("committed_at", times).append_column("commit_id", same("c", rows.num_rows))


def append(table, rows):
    files = write_files(table, SPEC, rows)
    Commit(table.refresh, uuid4().hex, Pace(), lambda: None).run(lambda _: Addition(files, {}))
    return files


def sorted_list(rows):
    """Rows as dictionaries in the table's order."""
    return sorted(rows.to_pylist(), key=lambda r: [(r[c] is not None, r[c] or 0) for c in SPEC.sort_columns])


def awkward_rows():
    """Rows with everything that a value can be."""
    rows = stamped(trades(50, days=3)).to_pylist()
    rows[0] |= {"sequence": None, "trade_id": None, "load_id": None, "source_line": None, "conditions": []}
    rows[1] |= {
        "price": Decimal("-9999999999.99999999"),
        "quantity": Decimal(0),
        "attributes": [("k", "v"), ("", "")],
    }
    rows[2] |= {
        "symbol": "Ünï\U0001f600" * 9,
        "sequence": 2**63 - 1,
        "timestamp": datetime(1969, 12, 31, 23, 59, tzinfo=UTC),
    }
    rows[3] |= {"symbol": rows[4]["symbol"], "timestamp": rows[4]["timestamp"], "sequence": -(2**63)}
    return pa.Table.from_pylist(rows, schema=SPEC.arrow_schema)


def test_awkward_rows_come_back_exactly(table):
    """Nulls, empty lists, maps, negative decimals, times before 1970 and extreme integers survive."""
    rows = awkward_rows()
    append(table, rows)
    assert sorted_list(rows) == sorted_list(table.scan().to_arrow())


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.dictionary(pa.int16(), pa.string())])
def test_any_form_of_string_reads_as_plain_string(table, text):
    """Dictionaries are how rows travel, not what the files show."""
    rows = stamped(trades(100))
    rows = rows.set_column(rows.column_names.index("side"), "side", rows["side"].cast(pa.string()).cast(text))
    (file,) = append(table, rows)
    assert pa.string() == pq.read_schema(local_path(file.file_path)).field("side").type
    assert sorted_list(rows) == sorted_list(table.scan().to_arrow())


def test_files_carry_field_ids_at_every_level(table):
    """Columns are found by id, nested ones too, so that they can be renamed."""
    (file,) = append(table, stamped(trades(10)))
    schema = pq.read_schema(local_path(file.file_path))
    number = lambda field: int(field.metadata[b"PARQUET:field_id"])  # noqa: E731 - one expression, used five times
    assert [f.field_id for f in SPEC.schema.fields] == [number(f) for f in schema]
    conditions, attributes = schema.field("conditions").type, schema.field("attributes").type
    found = [number(conditions.value_field), number(attributes.key_field), number(attributes.item_field)]
    assert found == [25, 26, 27]


def test_each_file_is_one_day_sorted_in_small_row_groups(table):
    """One file per day; inside, symbol, time, sequence, coordinates; 32,768 rows a group at most."""
    rows = stamped(trades(70_000, days=2, symbols=7))
    rows = pa.concat_tables([rows.slice(i, 9_999) for i in range(0, 70_000, 9_999)])
    files = append(table, rows)
    assert [f.partition[0] for f in files] == [MONDAY_US // DAY_US, MONDAY_US // DAY_US + 1]
    for file in files:
        read = pq.ParquetFile(local_path(file.file_path))
        columns = read.read(columns=list(SPEC.sort_columns))
        order = np.lexsort(
            [columns[c].to_numpy() for c in reversed(SPEC.sort_columns[1:])] + [columns["symbol"].to_numpy()]
        )
        assert np.arange(len(order)).tolist() == order.tolist()
        groups = [read.metadata.row_group(i).num_rows for i in range(read.metadata.num_row_groups)]
        assert max(groups) <= ROW_GROUP_ROWS
        assert len(groups) == len(file.split_offsets)
    assert sum(f.record_count for f in files) == 70_000


def test_statistics_are_those_of_the_rows(table):
    """Bounds and counts in the manifest are what a scan would find: pruning relies on them."""
    rows = stamped(trades(1000, symbols=30))
    keep = np.arange(1000) % 7 != 0
    sequence = pa.array(np.arange(1000), mask=~keep)
    rows = rows.set_column(rows.column_names.index("sequence"), "sequence", sequence).filter(
        pa.array(np.arange(1000) % 50 != 3)
    )
    (file,) = append(table, rows)
    for name in (
        "symbol",
        "timestamp",
        "price",
        "sequence",
        "offset",
        "partition",
        "sequence_flag",
        "trading_date",
    ):
        field = SPEC.schema.find_field(name)
        values = [v for v in rows[name].to_pylist() if v is not None]
        bounds = [
            from_bytes(field.field_type, b[field.field_id]) for b in (file.lower_bounds, file.upper_bounds)
        ]
        assert [iceberg(min(values)), iceberg(max(values))] == bounds, name
        assert (rows.num_rows, rows[name].null_count) == (
            file.value_counts[field.field_id],
            file.null_value_counts[field.field_id],
        )
    assert local_path(file.file_path).stat().st_size == file.file_size_in_bytes
    assert table.metadata.default_sort_order_id == file.sort_order_id


def iceberg(value):
    """Value as Iceberg's binary form counts it."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return (value - datetime(1970, 1, 1, tzinfo=UTC).date()).days if hasattr(value, "isoformat") else value


def test_scan_leaves_out_files_that_cannot_match(table):
    """A symbol, a time or an offset outside a file's bounds costs nothing."""
    for flush in range(4):
        rows = trades(100, start=flush * 100, days=2).to_pylist()
        rows = [row | {"symbol": f"{'ABCD'[flush]}{row['symbol']}"} for row in rows]
        append(
            table,
            pa.Table.from_pylist(stamped(pa.Table.from_pylist(rows)).to_pylist(), schema=SPEC.arrow_schema),
        )
    plan = lambda condition: len(list(table.scan(row_filter=condition).plan_files()))  # noqa: E731 - one expression
    tuesday = "2026-01-06T00:00:00+00:00"
    assert plan("symbol is not null") == 8
    assert plan(EqualTo("symbol", "BS0003")) == 2
    assert plan(And(EqualTo("symbol", "BS0003"), GreaterThanOrEqual("timestamp", tuesday))) == 1
    assert plan(And(GreaterThanOrEqual("offset", 300), LessThan("offset", 400))) == 2


def test_duckdb_reads_the_same_rows(table):
    """The query engine sees plain columns, exact decimals, UTC times."""
    rows = awkward_rows()
    paths = [str(local_path(f.file_path)) for f in append(table, rows)]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        read = connection.read_parquet(paths).to_arrow_table()
    assert sorted_list(rows) == sorted_list(read.select(rows.column_names).cast(rows.schema))


def test_no_rows_make_no_file(table):
    """An empty flush leaves nothing behind."""
    assert write_files(table, SPEC, stamped(trades(0))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop_columns(["price"]), "missing columns {'price'}"),
        (lambda rows: rows.append_column("x", rows["price"]), "unknown columns {'x'}"),
        (lambda rows: rows.set_column(4, "price", pa.array(["1.5x"] * 5)), "price|1.5x"),
        (lambda rows: rows.set_column(0, "symbol", pa.array([None] * 5, pa.string())), "null"),
    ],
)
def test_rows_that_do_not_fit_are_refused(table, change, message):
    """A wrong column stops the flush before anything is committed, and leaves no file."""
    with pytest.raises(ValueError, match=message):
        write_files(table, SPEC, change(stamped(trades(5))))
    assert list(local_path(table.location()).rglob("*.parquet")) == []


def test_warehouse_that_cannot_be_written_is_transient_and_leaves_nothing(table):
    """The second day's folder cannot be made: the first day's file is deleted again."""
    data = local_path(table.location()) / "data"
    data.mkdir()
    (data / "timestamp_day=2026-01-06").write_text("in the way")
    with pytest.raises(TransientError, match=r"market_data\.trades"):
        write_files(table, SPEC, stamped(trades(100, days=2)))
    assert list(data.rglob("*.parquet")) == []
