"""Withdrawing loads, from the ledger through the next load to the query."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from commands import csv, k2, k2_json, load, load_id, shown

from k2app.errors import OperatorError
from k2app.lake.catalog import create_tables, open_catalog
from k2app.lake.catalog import load as load_table
from k2app.lake.tables import SPECS, Name
from k2app.load import ledger
from k2app.load.ledger import LoadEntry
from k2app.operate.retract import find

DAY = [(0, "10", 1), (1, "11", 2), (2, "12", 3)]


def test_load_retract_load_again_shows_every_row_once(home):
    """A repeated load after a retraction is news: its rows are visible, the retracted ones are not."""
    load(home, csv(home, "a.csv", DAY))
    home.drain()
    before, _ = shown(home)
    assert ["first", "ok", "ok"] == [flag for _, _, flag in before]
    said = k2(home, "retract", load_id(home)[:8], "--reason", "wrong day")
    assert "queries leave its 3 rows out from now on; nothing was deleted" in said
    assert ([], {"retracted_hidden": 3}) == shown(home)
    load(home, "a.csv")
    home.drain()
    assert (
        [(1, "10", "conflict"), (2, "11", "conflict"), (3, "12", "conflict")],
        {"retracted_hidden": 3},
    ) == shown(home)
    load(home, "a.csv")
    home.drain()
    rows, said = shown(home)
    assert [(1, "10"), (2, "11"), (3, "12")] == [(n, price) for n, price, _ in rows]
    assert {"retracted_hidden": 3, "duplicates_hidden": 3} == said
    assert 9 == len(home.rows(Name.TRADES)), "nothing was deleted"


def test_retracting_the_first_of_two_loads_leaves_the_second_visible(home):
    """A corrected file repeats most rows: retracting the first file takes none of them away."""
    load(home, csv(home, "first.csv", DAY))
    load(home, csv(home, "corrected.csv", [(0, "10", 1), (1, "11.5", 2), (2, "12", 3)]))
    home.drain()
    assert 4 == len(shown(home)[0])
    k2(home, "retract", load_id(home, 0))
    rows, said = shown(home)
    assert [(1, "10"), (2, "11.5"), (3, "12")] == [(n, price) for n, price, _ in rows]
    assert {"retracted_hidden": 3} == said


def test_a_load_on_its_way_can_be_retracted(home):
    """Retracted before the lake has its rows: they are hidden when they come, and a second load is visible."""
    load(home, csv(home, "a.csv", DAY))
    k2(home, "retract", load_id(home))
    load(home, "a.csv")
    home.drain()
    rows, said = shown(home)
    assert [(1, "10"), (2, "11"), (3, "12")] == [(n, price) for n, price, _ in rows]
    assert {"retracted_hidden": 3} == said


def test_a_file_without_sequence_may_be_loaded_after_its_retraction(home):
    """What is retracted does not count as loaded: no --again is needed."""
    name = csv(home, "a.csv", DAY)
    load(home, name, "--sequence", "none")
    refused = k2(home, "load", name, "--exchange", "asx", "--type", "trades", "--sequence", "none", status=2)
    assert "--again loads it once more" in refused
    k2(home, "retract", load_id(home))
    load(home, name, "--sequence", "none")
    home.drain()
    rows, said = shown(home)
    assert (3, {"retracted_hidden": 3}) == (len(rows), said)
    assert "--again" in k2(
        home, "load", name, "--exchange", "asx", "--type", "trades", "--sequence", "none", status=2
    )


def test_retracting_twice_or_what_is_not_there(home):
    """Twice is said and is no error; an unknown id is one, and names the nearest."""
    load(home, csv(home, "a.csv", DAY))
    found = load_id(home)
    k2(home, "retract", found, "--reason", "wrong [day]")
    assert f"load {found} was retracted at" in (again := k2(home, "retract", found))
    assert "already: wrong [day]" in again
    wrong = found[:-1] + ("0" if found[-1] != "0" else "1")
    assert f"there is no load {wrong}; the nearest is {found} (a.csv)" in k2(home, "retract", wrong, status=2)
    (entry,) = k2_json(home, "loads")
    assert ("retracted", "wrong [day]", 3) == (entry["state"], entry["reason"], entry["rows"])


def test_a_ledger_from_before_retraction_gets_its_column(home):
    """Columns that came later are added, and what was recorded before stays readable."""
    load(home, csv(home, "a.csv", DAY))
    table = load_table(open_catalog(home.settings), home.settings, Name.LOADS)
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("reason")
    assert ["sent"] == [entry["state"] for entry in k2_json(home, "loads")]
    k2(home, "retract", load_id(home), "--reason", "old")
    assert [("retracted", "old")] == [(e["state"], e["reason"]) for e in k2_json(home, "loads")]


def test_columns_are_added_once(home):
    """A table that has them all is left alone."""
    catalog = open_catalog(home.settings)
    create_tables(catalog, home.settings)
    before = load_table(catalog, home.settings, Name.LOADS).metadata_location
    create_tables(catalog, home.settings)
    table = load_table(catalog, home.settings, Name.LOADS)
    assert before == table.metadata_location
    assert SPECS[Name.LOADS].schema.column_names == table.schema().column_names


# --- the ledger's logic


def entry(load_id, state, second, **other):
    known = {
        "load_id": load_id, "state": state, "recorded_at": datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=second),
        "file": f"{load_id}.csv", "file_sha256": "0", "file_bytes": 1, "exchange": "asx", "data_type": "trades",
        "profile": "k2", "sequence_mode": "none", "symbol": None, "rows": 0, "rejects": 0, "rejects_file": None,
        "numbers": {}, "sent": (), "log_id": "log",
    }  # fmt: skip
    return LoadEntry(**(known | other))


class Rows:
    """Rows of the ledger, as a table gives them."""

    def __init__(self, *entries):
        self._rows = [one.row() for one in entries]

    def to_pylist(self):
        return self._rows


def test_a_load_retracted_while_it_was_sent_stays_retracted():
    """What is recorded later adds what was sent, and takes nothing back."""
    rows = Rows(
        entry("a", "reserved", 0), entry("a", "retracted", 1, reason="slip"), entry("a", "sent", 2, rows=7)
    )
    (found,) = ledger.entries(rows)
    assert ("retracted", "slip", 7) == (found.state, found.reason, found.rows)


def test_of_the_same_file_the_load_that_stands_counts():
    """A newer one that was retracted does not make the older one undone."""
    rows = Rows(entry("a", "sent", 0), entry("b", "sent", 1), entry("b", "retracted", 2))
    assert "a" == ledger.find_same(rows, "0", "asx", "trades", "k2", None).load_id


def test_a_load_is_found_by_the_beginning_of_its_id():
    """If it is long enough and of one load only."""
    loads = [entry("abcd1", "sent", 0), entry("abcd2", "sent", 1), entry("xyz12", "sent", 2)]
    assert "xyz12" == find(loads, "xyz1").load_id
    assert "abcd2" == find(loads, "abcd2").load_id
    with pytest.raises(OperatorError, match="abcd is the beginning of several loads: abcd1, abcd2"):
        find(loads, "abcd")
    with pytest.raises(OperatorError, match=r"there is no load xyz; the nearest is xyz12 \(xyz12.csv\)"):
        find(loads, "xyz")
    with pytest.raises(OperatorError, match="nothing was loaded yet"):
        find([], os.devnull)
