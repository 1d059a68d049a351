from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from k2app.lake import history
from k2app.lake.catalog import load
from k2app.lake.history import STATE_COLUMNS, missing_offsets, rows_between, snapshots
from k2app.lake.tables import Name
from tests.lake_flushes import commit, flush, span, writer
from tests.lake_rows import LOG, TOPIC


@pytest.fixture
def who(catalog, settings):
    return writer(catalog, settings)


@pytest.fixture
def table_of(catalog, settings):
    return lambda: load(catalog, settings, Name.TRADES)


def read(table, start=0, end=None, partition=0):
    return list(rows_between(table, LOG, TOPIC, partition, start, end))


def test_rows_come_in_offset_order_from_any_offset_to_any(who, table_of):
    """Files are sorted by symbol; states are folded in the order of the log."""
    commit(who, flush(span(0, 100)))
    commit(who, flush(span(100, 150), span(0, 7, partition=1)))
    rows = pa.concat_tables(read(table_of(), 20, 130))
    assert list(STATE_COLUMNS) == rows.column_names
    assert [*range(20, 130)] == rows["offset"].to_pylist() == rows["sequence"].to_pylist()
    assert pa.string() == rows["symbol"].type
    assert [*range(20, 150)] == pa.concat_tables(read(table_of(), 20))["offset"].to_pylist()


def test_windows_change_nothing_but_the_pieces(who, table_of, monkeypatch):
    """Memory is bounded: a small window gives the same rows in more pieces, empty stretches skipped."""
    for start in (0, 40, 1000):
        commit(who, flush(span(start, start + 40, hole=(80, 1000) if start == 1000 else None)))
    whole = pa.concat_tables(read(table_of()))
    monkeypatch.setattr(history, "WINDOW_OFFSETS", 7)
    pieces = read(table_of())
    assert whole == pa.concat_tables(pieces).combine_chunks()
    assert len(pieces) <= 120 // 7 + 2
    assert max(p.num_rows for p in pieces) <= 7


@pytest.mark.parametrize(("start", "end", "partition"), [(10, None, 0), (5, 5, 0), (0, None, 3), (50, 60, 0)])
def test_nothing_to_read(who, table_of, start, end, partition):
    """At the floor, in an empty range, of an unseen partition: no pieces."""
    commit(who, flush(span(0, 10)))
    assert read(table_of(), start, end, partition) == []


def test_missing_offsets_are_those_without_a_row(who, table_of):
    """Dead letters and skipped offsets leave places; at the start, in between and at the end."""
    commit(who, flush(span(0, 20), dead=(0, 5, 6, 19)))
    commit(who, flush(span(20, 30), dead=(25,)))
    assert missing_offsets(table_of(), LOG, TOPIC, 0, 0) == [(0, 1), (5, 7), (19, 20), (25, 26)]
    assert missing_offsets(table_of(), LOG, TOPIC, 0, 6, 20) == [(6, 7), (19, 20)]


def test_snapshots_say_what_they_added(who, table_of):
    """Oldest first: rows, ranges, floor and counts of each flush; others are marked as none."""
    receipt = commit(who, flush(span(0, 100)))
    table = table_of()
    table.append(table.scan().to_arrow().slice(0, 1))
    ours, foreign = snapshots(table_of())
    flags = Counter(table.scan(snapshot_id=receipt.snapshot_id).to_arrow()["sequence_flag"].to_pylist())
    assert (receipt.snapshot_id, None, receipt.commit_id, 100, flags) == (
        ours["id"],
        ours["parent"],
        ours["commit_id"],
        ours["rows"],
        ours["counts"],
    )
    assert ([(0, 100, 0)], receipt.floors) == (
        [(r.start, r.end, r.skipped) for r in ours["ranges"]],
        ours["floor"],
    )
    assert (receipt.snapshot_id, None, None, 0, ()) == (
        foreign["parent"],
        foreign["commit_id"],
        foreign["floor"],
        foreign["rows"],
        foreign["ranges"],
    )


def test_table_without_snapshots_has_no_history(table_of):
    """A new table answers, with nothing."""
    assert (snapshots(table_of()), read(table_of())) == ([], [])
