"""What every snapshot says about where its rows came from: floors, origins, holes, ranges.

Pure. Floors, origins and holes are cumulative and carried forward by every snapshot the program makes, so that they
outlive the snapshots that expire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pyiceberg.table.metadata import TableMetadata

from k2app.lake.floors import FLOOR, Floors, Place, Range, carrier_of, dump, parse, summary_of

ORIGIN = "k2.origin"
"""Where the first floor of each partition started: {log id: {topic: {partition: offset}}}."""

HOLE = "k2.hole"
"""All holes given up on purpose: {log id: {topic: {partition: [[from, to], ...]}}}; absent if there is none."""

RANGE = "k2.range"
"""What one commit added: {log id: {topic: {partition: [start, end, skipped]}}}; a fourth member is the floor that a
hole [floor, start) begins at."""

COMMIT_ID = "k2.commit-id"
"""Id of the flush, given before its first attempt: an attempt whose outcome is unknown is found by it."""

ROWS = "k2.rows"
"""Rows that one commit added."""

COUNT = "k2.count."
"""Prefix: rows that one commit added, by sequence flag."""

CARRIED = (FLOOR, ORIGIN, HOLE)
"""Properties that every snapshot carries forward and the table properties mirror."""


@dataclass(frozen=True)
class Lineage:
    """The cumulative part."""

    floors: Floors = field(default_factory=Floors)
    origins: Mapping[Place, int] = field(default_factory=dict)
    holes: Mapping[Place, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def after(self, ranges: Iterable[Range]) -> Lineage:
        """Lineage after `ranges` were added."""
        ranges = tuple(ranges)
        started = {r.place: r.expected_floor for r in ranges if r.place not in self.floors.partitions}
        torn = {r.place: (*self.holes.get(r.place, ()), r.hole) for r in ranges if r.hole is not None}
        return Lineage(
            self.floors.advance(ranges),
            {**self.origins, **started},
            {**self.holes, **torn},
        )

    def properties(self) -> dict[str, str]:
        """Properties for a snapshot's summary and for the table."""
        found = {FLOOR: self.floors.to_json(), ORIGIN: dump(self.origins)}
        if self.holes:
            found[HOLE] = dump({place: [list(h) for h in holes] for place, holes in self.holes.items()})
        return found

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Lineage:
        """Read what `properties` gave."""
        return cls(
            Floors.from_json(properties.get(FLOOR, "{}")),
            parse(properties.get(ORIGIN, "{}")),
            {
                place: tuple((a, b) for a, b in holes)
                for place, holes in parse(properties.get(HOLE, "{}")).items()
            },
        )

    @classmethod
    def in_force(cls, metadata: TableMetadata) -> Lineage:
        """Lineage of the main branch: of its nearest snapshot with a floor, else of the table properties."""
        carrier = carrier_of(metadata, FLOOR)
        return cls.of(metadata.properties if carrier is None else summary_of(carrier))


def carried(metadata: TableMetadata) -> dict[str, str]:
    """Properties that a snapshot which adds no rows (compaction, retraction) must carry forward."""
    carrier = carrier_of(metadata, FLOOR)
    source = metadata.properties if carrier is None else summary_of(carrier)
    return {key: source[key] for key in CARRIED if key in source}


def ranges_to_json(ranges: Iterable[Range]) -> str:
    """Value of `k2.range`."""
    return dump(
        {r.place: [r.start, r.end, r.skipped, *(() if r.hole is None else r.hole[:1])] for r in ranges}
    )


def ranges_from_json(text: str) -> tuple[Range, ...]:
    """Read what `ranges_to_json` wrote; fingerprints are in the floor, not here."""
    return tuple(_range(place, *value) for place, value in parse(text).items())


def _range(place: Place, start: int, end: int, skipped: int, floor: int | None = None) -> Range:
    hole = None if floor is None else (floor, start)
    return Range(place.log_id, place.topic, place.partition, start, end, skipped, None, hole)
