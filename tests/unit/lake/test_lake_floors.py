from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2app.errors import FencedError
from k2app.lake.floors import Fingerprint, Floors, PartitionFloor, Place, Range
from k2app.lake.lineage import Lineage, ranges_from_json, ranges_to_json

OFFSETS = st.integers(0, 2**63 - 2)
PLACES = st.builds(
    Place, st.sampled_from(["log-a", "log-b"]), st.text(min_size=1, max_size=5), st.integers(0, 99)
)
MARKS = st.none() | st.builds(Fingerprint, st.integers(-(2**62), 2**62), st.integers(0, 2**32 - 1))
FLOORS = st.dictionaries(PLACES, st.builds(PartitionFloor, OFFSETS, MARKS), max_size=8).map(Floors)


def ranges_of(place, starts_at=0):
    """One range from `starts_at` on."""
    return st.builds(
        lambda length, skipped, mark: Range(
            *place, starts_at, starts_at + length, min(skipped, length), mark
        ),
        st.integers(1, 1000),
        st.integers(0, 1000),
        MARKS,
    )


@given(FLOORS)
def test_floors_survive_json(floors):
    """What is read back is what was written, whatever topics are called."""
    assert floors == Floors.from_json(floors.to_json())


@given(FLOORS)
def test_equal_floors_give_equal_text(floors):
    """The text depends on the values, not on the order in which partitions were seen."""
    backwards = Floors(dict(reversed(list(floors.partitions.items()))))
    assert floors.to_json() == backwards.to_json()


def test_floor_json_is_the_documented_form():
    """Other programs read the property: its form is fixed."""
    floors = Floors(
        {
            Place("log", "t", 10): PartitionFloor(7, Fingerprint(5, 6)),
            Place("log", "t", 9): PartitionFloor(0, None),
        }
    )
    assert floors.to_json() == '{"log":{"t":{"9":[0,null],"10":[7,[5,6]]}}}'


@given(st.data(), st.lists(st.integers(0, 3), max_size=12))
def test_advance_is_a_dictionary_of_ends(data, partitions):
    """Advancing flush by flush leaves each partition at the end of its last range, others untouched."""
    floors, model = Floors(), {}
    for partition in partitions:
        place = Place("log", "t", partition)
        r = data.draw(ranges_of(place, model.get(place, (0, None))[0]))
        floors.check([r])
        floors = floors.advance([r])
        model[place] = (r.end, r.fingerprint)
    assert model == {p: (f.next_offset, f.fingerprint) for p, f in floors.partitions.items()}


@given(FLOORS, st.integers(0, 99), st.integers(1, 50))
def test_reach_never_lowers_a_floor(floors, start, length):
    """A side table that ran ahead stays ahead."""
    ranges = [Range(*place, start, start + length, 0, None) for place in floors.partitions]
    reached = floors.reach(ranges)
    assert {p: max(f.next_offset, start + length) for p, f in floors.partitions.items()} == {
        p: f.next_offset for p, f in reached.partitions.items()
    }


@pytest.mark.parametrize("start", [0, 99, 101])
def test_range_off_the_floor_is_fenced(start):
    """The message names partition, floor and start."""
    floors = Floors({Place("log", "t", 3): PartitionFloor(100, None)})
    with pytest.raises(FencedError, match=f"partition 3 of t .*floor is 100.*start at {start}"):
        floors.check([Range("log", "t", 3, start, start + 5, 0, None)])


def test_unseen_partition_starts_anywhere():
    """The first range of a partition is its origin, wherever the log starts."""
    r = Range("log", "t", 0, 5000, 5001, 0, None)
    Floors().check([r])
    assert Lineage().after([r]).origins == {r.place: 5000}


def test_range_behind_a_declared_hole_passes():
    """A hole given up on purpose continues the floor it begins at, no other."""
    floors = Floors({Place("log", "t", 0): PartitionFloor(100, None)})
    floors.check([Range("log", "t", 0, 150, 160, 0, None, hole=(100, 150))])
    with pytest.raises(FencedError):
        floors.check([Range("log", "t", 0, 150, 160, 0, None, hole=(101, 150))])


@pytest.mark.parametrize(
    ("start", "end", "skipped", "hole"),
    [
        (5, 5, 0, None),
        (6, 5, 0, None),
        (-1, 5, 0, None),
        (0, 5, 6, None),
        (5, 9, 0, (3, 4)),
        (5, 9, 0, (5, 5)),
    ],
)
def test_impossible_ranges_are_refused(start, end, skipped, hole):
    """A range that is none never reaches the lake."""
    with pytest.raises(ValueError, match=r"range|hole"):
        Range("log", "t", 0, start, end, skipped, None, hole)


@given(st.data(), st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=12))
def test_lineage_survives_json_flush_by_flush(data, steps):
    """Floors, origins and holes read back from properties are those that were accumulated."""
    lineage = Lineage()
    origins, holes = {}, {}
    for partition, torn in steps:
        place = Place("log", "t", partition)
        floor = lineage.floors.next_offset(place)
        seen = place in lineage.floors.partitions
        start = floor + data.draw(st.integers(1, 9)) if torn or not seen else floor
        hole = (floor, start) if torn and seen else None
        lineage = lineage.after([Range(*place, start, start + 5, 0, None, hole)])
        origins.setdefault(place, start)
        if hole is not None:
            holes[place] = (*holes.get(place, ()), hole)
        lineage = Lineage.of(lineage.properties())
    assert (origins, holes) == (lineage.origins, lineage.holes)


@given(st.data(), st.sets(PLACES, max_size=5))
def test_ranges_survive_json(data, places):
    """`k2.range` holds all of a range but the fingerprint, which the floor holds."""
    ranges = tuple(data.draw(ranges_of(place, 10)) for place in sorted(places))
    read = ranges_from_json(ranges_to_json(ranges))
    assert [(r.place, r.start, r.end, r.skipped, None) for r in ranges] == [
        (r.place, r.start, r.end, r.skipped, r.fingerprint) for r in read
    ]


def test_hole_survives_json():
    """A hole is a fourth member of its range."""
    r = Range("log", "t", 0, 150, 160, 2, None, hole=(100, 150))
    assert json.loads(ranges_to_json([r])) == {"log": {"t": {"0": [150, 160, 2, 100]}}}
    assert (r,) == ranges_from_json(ranges_to_json([r]))
