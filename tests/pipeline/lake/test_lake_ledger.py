from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException

from k2app.errors import FencedError
from k2app.lake.catalog import load
from k2app.lake.fileio import local_path
from k2app.lake.ledger import append_if, read_loads
from k2app.lake.tables import SPECS, Name
from tests.lake_flushes import QUICK, Faulty
from tests.lake_rows import LOG, MONDAY_US, TOPIC


def row(load_id, state="reserved", at=0, last=9):
    return {
        "load_id": load_id,
        "state": state,
        "recorded_at": MONDAY_US + at,
        "file": "a.csv",
        "file_sha256": "00" * 32,
        "file_bytes": 10,
        "exchange": "asx",
        "data_type": "trades",
        "profile": "asx",
        "sequence_mode": "assign",
        "symbol": "BHP",
        "rows": 9,
        "rejects": 0,
        "rejects_file": None,
        "numbers": [{"symbol": "BHP", "trading_date": MONDAY_US // 86_400_000_000, "first": 1, "last": last}],
        "sent": [{"topic": TOPIC, "partition": 0, "start": 0, "end": 9}],
        "log_id": LOG,
        "reason": None,
    }


def ledger_rows(*rows):
    plain = pa.table(
        {n: pa.array([r[n] for r in rows], storage(n)) for n in SPECS[Name.LOADS].arrow_schema.names}
    )
    return plain.cast(SPECS[Name.LOADS].arrow_schema)


def storage(name):
    """Arrow type with integers for dates and times, which `row` writes as such."""
    kind = SPECS[Name.LOADS].arrow_schema.field(name).type
    if name == "numbers":
        fields = [
            ("symbol", pa.large_string()),
            ("trading_date", pa.int32()),
            ("first", pa.int64()),
            ("last", pa.int64()),
        ]
        return pa.large_list(pa.struct(fields))
    return pa.int64() if name == "recorded_at" else kind


@pytest.fixture
def table(catalog, settings):
    return load(catalog, settings, Name.LOADS)


def test_states_of_a_load_are_read_back_in_order(table):
    """Each append names the snapshot that it was decided on."""
    first = append_if(table, ledger_rows(row("b", at=1)), None)
    second = append_if(table, ledger_rows(row("b", "done", at=3), row("a", at=2)), first)
    rows = read_loads(table.refresh())
    assert second == table.current_snapshot().snapshot_id
    assert list(zip(rows["load_id"].to_pylist(), rows["state"].to_pylist(), strict=True)) == [
        ("b", "reserved"),
        ("a", "reserved"),
        ("b", "done"),
    ]
    assert [(n["first"], n["last"]) for n in rows["numbers"][0].as_py()] == [(1, 9)]


def test_append_decided_on_an_old_state_is_fenced(catalog, settings, table):
    """Two loads never get the same numbers: the second must look again."""
    other = load(catalog, settings, Name.LOADS)
    append_if(other, ledger_rows(row("a")), None)
    with pytest.raises(FencedError, match="moved from snapshot None to"):
        append_if(table, ledger_rows(row("b")), None)
    assert read_loads(other.refresh())["load_id"].to_pylist() == ["a"]
    assert len(list(local_path(table.location()).rglob("*.parquet"))) == 1


def test_append_overtaken_while_committing_is_fenced(catalog, settings):
    """The conflict is noticed at the commit too."""
    table = load(Faulty(catalog, (False, CommitFailedException("moved"))), settings, Name.LOADS)
    table.catalog.faults[0] = (False, CommitFailedException("moved"))
    overtaken = Overtaken(
        catalog, lambda: append_if(load(catalog, settings, Name.LOADS), ledger_rows(row("a")), None)
    )
    with pytest.raises(FencedError):
        append_if(load(overtaken, settings, Name.LOADS), ledger_rows(row("b")), None, QUICK)
    assert read_loads(load(catalog, settings, Name.LOADS))["load_id"].to_pylist() == ["a"]


class Overtaken(Faulty):
    """Lets somebody else append just before its first commit."""

    def __init__(self, catalog, somebody_else):
        super().__init__(catalog)
        self.somebody_else = [somebody_else]

    def commit_table(self, table, requirements, updates):
        if self.somebody_else:
            self.somebody_else.pop()()
        return super().commit_table(table, requirements, updates)


@pytest.mark.parametrize("landed", [True, False])
def test_unknown_outcome_is_resolved_to_one_append(catalog, settings, landed):
    """A timeout is looked into, not repeated blindly and not taken for somebody else's append."""
    table = load(Faulty(catalog, (landed, TimeoutError())), settings, Name.LOADS)
    snapshot = append_if(table, ledger_rows(row("a")), None, QUICK)
    read = load(catalog, settings, Name.LOADS)
    assert snapshot == read.current_snapshot().snapshot_id
    assert read_loads(read)["load_id"].to_pylist() == ["a"]


def test_empty_ledger_has_its_columns(table):
    """Nothing was loaded yet: no rows, all columns."""
    rows = read_loads(table)
    assert (0, SPECS[Name.LOADS].arrow_schema.names) == (rows.num_rows, rows.column_names)
