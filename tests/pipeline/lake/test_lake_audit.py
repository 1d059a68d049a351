from __future__ import annotations

from uuid import uuid4

import pytest

from k2app.lake.audit import completeness
from k2app.lake.catalog import load
from k2app.lake.commit import Addition, Commit, Pace
from k2app.lake.floors import FLOOR, Floors
from k2app.lake.lineage import RANGE, ROWS, Lineage, ranges_to_json
from k2app.lake.tables import Name
from tests.lake_flushes import commit, flush, span, writer


@pytest.fixture
def table(catalog, settings):
    return load(catalog, settings, Name.TRADES)


def plant(table, *ranges, lineage=None, **summary):
    """Commit `ranges` without looking at the floor, as a broken program would."""
    carried = (lineage or Lineage.in_force(table.refresh().metadata).after(ranges)).properties()
    addition = Addition([], {RANGE: ranges_to_json(ranges), ROWS: "0"} | carried | summary, carried)
    Commit(table.refresh, uuid4().hex, Pace(), lambda: None).run(lambda _: addition)


def problems(table):
    return [str(p).split(" (snapshot")[0].split("): ")[-1] for p in completeness(table.refresh())]


def test_complete_history_has_no_problem(catalog, settings, table):
    """Flushes, skipped offsets, new partitions, declared holes: all add up."""
    who = writer(catalog, settings)
    assert problems(table) == []
    commit(who, flush(span(3, 10)))
    commit(who, flush(span(10, 20, skipped=4), span(0, 5, partition=1)))
    commit(who, flush(span(30, 40, hole=(20, 30))))
    assert problems(table) == []


def test_planted_hole_is_found(table):
    """Offsets that no snapshot has added are named."""
    plant(table, span(0, 10))
    plant(table, span(12, 20))
    plant(table, span(20, 30))
    assert problems(table) == ["offsets [10, 12) are in no snapshot"]
    assert "partition 0 of market.equities.trades.asx" in str(completeness(table)[0])


def test_planted_overlap_is_found(table):
    """Offsets that were added twice are named."""
    plant(table, span(0, 10))
    plant(table, span(7, 20))
    assert problems(table) == ["offsets [7, 10) were added twice"]


def test_hole_before_the_first_range_is_found(table):
    """The origin is where the first range must start."""
    plant(table, span(5, 10), lineage=Lineage(Floors().advance([span(5, 10)]), {span(0, 1).place: 0}))
    assert problems(table) == ["offsets [0, 5) are in no snapshot"]


def test_floor_that_is_not_the_end_of_the_ranges_is_found(table):
    """A floor too high would lose rows, one too low would repeat them."""
    plant(table, span(0, 10), lineage=Lineage(Floors().advance([span(0, 11)]), {span(0, 1).place: 0}))
    assert problems(table) == ["the floor is 11, the ranges end at 10"]


def test_partition_dropped_from_the_floor_is_found(table):
    """A snapshot that forgets a partition would let it start anywhere."""
    plant(table, span(0, 10))
    plant(table, span(0, 5, partition=1), lineage=Lineage().after([span(0, 5, partition=1)]))
    assert problems(table) == ["there is no floor, the ranges end at 10"]


def test_unlisted_hole_is_found(table):
    """A hole must be in the list that outlives its snapshot."""
    plant(table, span(0, 10))
    lineage = Lineage.in_force(table.refresh().metadata).after([span(10, 20)])
    plant(table, span(15, 20, hole=(10, 15)), lineage=lineage)
    assert problems(table) == ["hole [10, 15] is not in the list of holes"]


def test_floor_without_range_or_origin_is_found(table):
    """A floor that nothing explains is no proof of anything."""
    plant(table, span(0, 10))
    plant(
        table,
        span(10, 20),
        lineage=Lineage(Floors().advance([span(0, 20), span(0, 9, partition=1)]), {span(0, 1).place: 0}),
    )
    assert problems(table) == [
        "there is a floor, but no origin",
        "the floor is 9, but no snapshot has a range",
    ]


def test_counts_that_do_not_add_up_are_found(table):
    """Rows by flag are all rows."""
    plant(table, span(0, 10), **{"k2.count.ok": "3", ROWS: "4"})
    assert problems(table) == ["counts by flag do not add up to 4 rows"]


def test_stale_property_is_found(table):
    """The property must be the floor's copy when the snapshots are gone."""
    plant(table, span(0, 10))
    with table.refresh().transaction() as transaction:
        transaction.set_properties({FLOOR: "{}"})
    assert problems(table) == ["the table property k2.floor is not the newest floor"]


def test_expired_snapshots_do_not_hide_a_later_hole(catalog, settings, table):
    """Without the oldest snapshots the proof starts at the oldest that is kept."""
    who = writer(catalog, settings)
    first = commit(who, flush(span(0, 10)))
    commit(who, flush(span(10, 20)))
    plant(table, span(25, 30))
    table.refresh().maintenance.expire_snapshots().by_id(first.snapshot_id).commit()
    assert problems(table) == ["offsets [20, 25) are in no snapshot"]
