"""Files of several schemas, pruning, and snapshots that other engines wrote."""

from __future__ import annotations

import copy

import pyarrow as pa
import pytest
from pyiceberg.manifest import ManifestContent, write_manifest_list
from pyiceberg.types import LongType, StringType

from k2app.errors import OperatorError
from k2app.lake.tables import SPECS, Name
from k2app.query.answers.result_text import to_json
from k2app.query.reading.filters import Term, any_of, between
from k2app.query.reading.plan import Planner
from k2app.query.requests import RowsRequest
from tests.query_lake import DAY_US, MONDAY_US, trade


def table_of(catalog, settings):
    return catalog.load_table((settings.lake.namespace, "trades"))


def as_deletes(manifest):
    """The same manifest, said to list delete files."""
    deletes = copy.copy(manifest)
    # Under another path: pyiceberg keeps manifests by theirs.
    deletes._data = [f"{manifest.manifest_path}-deletes", *manifest._data[1:]]
    deletes._data[3] = ManifestContent.DELETES
    return deletes


def append_wide(table, rows, **columns):
    """Append rows that have further columns."""
    arrow = pa.Table.from_pylist(rows, schema=SPECS[Name.TRADES].arrow_schema)
    for name, values in columns.items():
        arrow = arrow.append_column(name, pa.array(values))
    table.append(arrow)


def test_files_written_before_a_column_was_added_read_as_null(put, engine, catalog, settings):
    """And the old snapshot still gives its own columns, byte for byte."""
    old = put("trades", [trade(0)])
    before = to_json(engine.trades(RowsRequest()))
    table = table_of(catalog, settings)
    with table.update_schema() as update:
        update.add_column("venue", StringType())
    append_wide(table, [trade(1)], venue=["X"])
    result = engine.trades(RowsRequest())
    assert [None, "X"] == result.rows["venue"].to_pylist()
    assert [0, 1] == result.rows["offset"].to_pylist()
    assert [None] == engine.trades(RowsRequest(end=MONDAY_US + 1)).rows["venue"].to_pylist()
    assert before == to_json(engine.trades(RowsRequest(snapshot_id=old)))


def test_a_renamed_column_is_found_by_its_id(put, engine, catalog, settings):
    """Columns are field ids; names are what the newest schema says."""
    put("trades", [trade(0, trade_id="a")])
    table = table_of(catalog, settings)
    with table.update_schema() as update:
        update.rename_column("trade_id", "match_id")
    renamed = {**trade(1), "match_id": "b"}
    schema = table.schema().as_arrow()
    table.append(pa.Table.from_pylist([renamed], schema=schema))
    assert ["a", "b"] == engine.trades(RowsRequest()).rows["match_id"].to_pylist()


def test_a_name_used_again_does_not_bring_old_values_back(put, engine, catalog, settings):
    """A dropped column's values stay dropped."""
    put("trades", [trade(0, trade_id="a")])
    table = table_of(catalog, settings)
    with table.update_schema() as update:
        update.delete_column("trade_id")
    with table.update_schema() as update:
        update.add_column("trade_id", LongType())
    table.append(pa.Table.from_pylist([trade(1, trade_id=7)], schema=table.schema().as_arrow()))
    assert [None, 7] == engine.trades(RowsRequest()).rows["trade_id"].to_pylist()


def test_a_widened_column_reads(put, engine, catalog, settings):
    """An int that became a long is a long in old files too."""
    put("trades", [trade(0, epoch=3)])
    table = table_of(catalog, settings)
    with table.update_schema() as update:
        update.update_column("epoch", LongType())
    table.append(pa.Table.from_pylist([trade(1, epoch=2**40)], schema=table.schema().as_arrow()))
    rows = engine.trades(RowsRequest()).rows
    assert [3, 2**40] == rows["epoch"].to_pylist()
    assert pa.int64() == rows.schema.field("epoch").type


def test_plans_are_pruned_and_kept(put, catalog, settings):
    """Files of other days and symbols are not in the plan; the same question gives the same object."""
    put("trades", [trade(0)])
    put("trades", [trade(1, micros=DAY_US)])
    put("trades", [trade(2, symbol="RIO")])
    table = table_of(catalog, settings)
    snapshot, planner = table.current_snapshot(), Planner()
    assert 3 == len(planner.files(table, snapshot, ()))
    assert 2 == len(planner.files(table, snapshot, any_of("symbol", ["BHP"])))
    again = table_of(catalog, settings)
    assert planner.files(table, snapshot, ()) is planner.files(again, snapshot, ())


def test_plans_of_a_day_are_narrowed_by_the_bounds_of_its_files(put, catalog, settings):
    """By the microsecond, and by symbol, however many are named."""
    for offset, symbol in enumerate(("BHP", "CBA", "RIO")):
        put("trades", [trade(offset, micros=offset * 10, symbol=symbol)])
    table = table_of(catalog, settings)
    planner = Planner()

    def rows(*terms):
        files = planner.files(table, table.current_snapshot(), terms)
        return sorted(file.first_us - MONDAY_US for file in files)

    assert [0, 10] == rows(*between("timestamp", None, MONDAY_US + 11))
    assert [0] == rows(*between("timestamp", MONDAY_US, MONDAY_US + 10))
    assert [10] == rows(*between("timestamp", MONDAY_US + 1, MONDAY_US + 20))
    assert [0, 10] == rows(Term("timestamp", "<=", MONDAY_US + 10, is_time=True))
    assert [] == rows(*between("timestamp", MONDAY_US + DAY_US, None))
    assert [0, 20] == rows(*any_of("symbol", ["RIO", "AAA", "BHP", "ZZZ"]))
    assert [] == rows(*any_of("symbol", ["AAA", "BHQ", "ZZZ"]))
    assert [20] == rows(*any_of("symbol", ["BHP", "RIO"]), *between("timestamp", MONDAY_US + 1, None))


def test_a_snapshot_with_delete_files_is_refused(put, catalog, settings):
    """Reading past them would bring back rows that another engine deleted."""
    put("trades", [trade(0)])
    table = table_of(catalog, settings)
    snapshot = table.current_snapshot()
    [manifest] = snapshot.manifests(table.io)
    location = f"{table.location()}/metadata/with-deletes.avro"
    with write_manifest_list(2, table.io.new_output(location), 1, None, 1, "null") as writer:
        writer.add_manifests([manifest, as_deletes(manifest)])
    foreign = snapshot.model_copy(update={"snapshot_id": 1, "manifest_list": location})
    with pytest.raises(OperatorError, match=r"snapshot 1 of market_data\.trades has delete files"):
        Planner().files(table, foreign, ())
