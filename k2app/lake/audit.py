"""Proof of completeness from metadata alone: origin, ranges and floor of every partition must tile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pyiceberg.table import Table

from k2app.lake.floors import FLOOR, Floors, Place, Range, carrier_of, floor_in_force, lineage_of
from k2app.lake.history import SnapshotSummary, snapshots
from k2app.lake.lineage import Lineage


@dataclass(frozen=True)
class Problem:
    """One place where the metadata does not add up."""

    place: Place | None
    """None: the problem is not one partition's."""
    snapshot_id: int | None
    message: str

    def __str__(self) -> str:
        where = "" if self.place is None else f"{self.place}: "
        return f"{where}{self.message}" + (
            "" if self.snapshot_id is None else f" (snapshot {self.snapshot_id})"
        )


def completeness(table: Table) -> list[Problem]:
    """Check that nothing is missing from `table` and nothing is in it twice, reading no data.

    For every partition the ranges of the kept snapshots must follow each other without hole or overlap, from the
    origin (or, when older snapshots have expired, from the oldest kept range) to the floor. A hole that was given up
    on purpose is no problem if the lineage lists it.

    Returns
    -------
    list of Problem
        In order of history; empty: complete.
    """
    history = snapshots(table)
    lineage = Lineage.in_force(table.metadata)
    walk = _Walk(lineage, dict(lineage.origins) if _whole(table) else {})
    problems = [problem for snapshot in history for problem in walk.step(snapshot)]
    return [*problems, *_unfounded(walk, lineage), *_mirror(table)]


def _whole(table: Table) -> bool:
    """Whether no snapshot of the main branch has expired: the first one of a table has sequence number 1.

    (A missing parent does not tell: pyiceberg takes the parent's id off a snapshot when the parent expires.)
    """
    first = min((s.sequence_number or 0 for s in lineage_of(table.metadata)), default=0)
    return first == 1


@dataclass
class _Walk:
    """How far the ranges have come, snapshot by snapshot."""

    lineage: Lineage
    origins: Mapping[Place, int]
    ends: dict[Place, int] = field(default_factory=dict)

    def step(self, snapshot: SnapshotSummary) -> Iterator[Problem]:
        """Problems of the next snapshot."""
        for r in snapshot["ranges"]:
            yield from self._range(snapshot["id"], r)
        if snapshot["floor"] is not None:
            yield from self._floor(snapshot["id"], snapshot["floor"])
        elif snapshot["commit_id"] is not None:
            yield Problem(None, snapshot["id"], "a flush without a floor")
        if sum(snapshot["counts"].values()) not in {0, snapshot["rows"]}:
            yield Problem(None, snapshot["id"], f"counts by flag do not add up to {snapshot['rows']} rows")

    def _range(self, snapshot_id: int, r: Range) -> Iterator[Problem]:
        expected = self.ends.get(r.place, self.origins.get(r.place, r.expected_floor))
        yield from _tile(snapshot_id, r.place, expected, r.expected_floor)
        if r.hole is not None and r.hole not in self.lineage.holes.get(r.place, ()):
            yield Problem(r.place, snapshot_id, f"hole {list(r.hole)} is not in the list of holes")
        self.ends[r.place] = r.end

    def _floor(self, snapshot_id: int, floors: Floors) -> Iterator[Problem]:
        for place, end in self.ends.items():
            found = floors.get(*place)
            if found is None or found.next_offset != end:
                stands = "there is no floor" if found is None else f"the floor is {found.next_offset}"
                yield Problem(place, snapshot_id, f"{stands}, the ranges end at {end}")


def _tile(snapshot_id: int, place: Place, expected: int, start: int) -> Iterable[Problem]:
    if start > expected:
        return [Problem(place, snapshot_id, f"offsets [{expected}, {start}) are in no snapshot")]
    if start < expected:
        return [Problem(place, snapshot_id, f"offsets [{start}, {expected}) were added twice")]
    return []


def _unfounded(walk: _Walk, lineage: Lineage) -> Iterator[Problem]:
    """Floors that no range and no origin explain."""
    for place, floor in lineage.floors.partitions.items():
        if place not in lineage.origins:
            yield Problem(place, None, "there is a floor, but no origin")
        if walk.origins and place not in walk.ends:
            yield Problem(place, None, f"the floor is {floor.next_offset}, but no snapshot has a range")


def _mirror(table: Table) -> list[Problem]:
    """The table property is the floor's copy, for when every snapshot that carries one has expired."""
    if carrier_of(table.metadata, FLOOR) is None:
        return []
    if table.properties.get(FLOOR) == floor_in_force(table.metadata).to_json():
        return []
    return [Problem(None, None, f"the table property {FLOOR} is not the newest floor")]
