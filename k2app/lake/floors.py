"""Floors: which offsets of the log are in a table, as every snapshot's summary states them.

Pure. The floor of a partition is the *next* offset to write, not the last one written. With the origin (where
the first floor started), the ranges (what each commit added) and the holes (what was gone from the log and was
given up on purpose), completeness can be proven from metadata alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from k2app.errors import FencedError

FLOOR = "k2.floor"
"""Summary and table property: {log id: {topic: {partition: [next offset, [timestamp_us, crc] or null]}}}."""


class Place(NamedTuple):
    """One partition of one topic of one log."""

    log_id: str
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"partition {self.partition} of {self.topic} (log {self.log_id})"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells one record from another at the same offset of a recreated log."""

    timestamp_us: int
    """Time that the log gave the record, UTC microseconds."""
    crc: int
    """Checksum of the record's bytes."""


@dataclass(frozen=True, slots=True)
class PartitionFloor:
    """Where one partition stands."""

    next_offset: int
    """First offset that is not in the table."""
    fingerprint: Fingerprint | None
    """Of the record before it; None if there is none (offset 0, or the log skipped that offset)."""


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets [start, end) of one partition that one commit adds.

    Raises
    ------
    ValueError
        The range is empty or runs backwards, or the hole does not end at its start.
    """

    log_id: str
    topic: str
    partition: int
    start: int
    end: int
    skipped: int
    """Offsets within the range that the log itself skipped (compaction, transaction markers)."""
    fingerprint: Fingerprint | None
    """Of the record before `end`."""
    hole: tuple[int, int] | None = None
    """Offsets [floor, start) that are gone from the log and given up on purpose."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end or not 0 <= self.skipped <= self.end - self.start:
            raise ValueError(f"not a range of offsets: {self}")
        if self.hole is not None and not 0 <= self.hole[0] < self.hole[1] == self.start:
            raise ValueError(f"a hole must end where the range starts: {self}")

    @property
    def place(self) -> Place:
        """The partition."""
        return Place(self.log_id, self.topic, self.partition)

    @property
    def expected_floor(self) -> int:
        """The floor that this range continues."""
        return self.start if self.hole is None else self.hole[0]


@dataclass(frozen=True)
class Floors:
    """Floor of every partition that a table has seen."""

    partitions: Mapping[Place, PartitionFloor] = field(default_factory=dict)

    def get(self, log_id: str, topic: str, partition: int) -> PartitionFloor | None:
        """Floor of one partition; None if the table has never seen it."""
        return self.partitions.get(Place(log_id, topic, partition))

    def advance(self, ranges: Iterable[Range]) -> Floors:
        """Floors after `ranges`; their continuity is `check`'s business."""
        ends = {r.place: PartitionFloor(r.end, r.fingerprint) for r in ranges}
        return Floors({**self.partitions, **ends})

    def reach(self, ranges: Iterable[Range]) -> Floors:
        """Floors after `ranges`, where a floor that is already higher stays (side tables run ahead)."""
        return self.advance(r for r in ranges if self.next_offset(r.place) < r.end)

    def next_offset(self, place: Place) -> int:
        """First offset of `place` that is not in the table; 0 if it has never been seen."""
        floor = self.partitions.get(place)
        return 0 if floor is None else floor.next_offset

    def check(self, ranges: Iterable[Range]) -> None:
        """Check that each range starts at its partition's floor (or has none yet, which makes it the origin).

        Raises
        ------
        FencedError
            One does not: names the partition, its floor and the range's start.
        """
        for r in ranges:
            floor = self.partitions.get(r.place)
            if floor is not None and floor.next_offset != r.expected_floor:
                raise FencedError(
                    f"{r.place}: the floor is {floor.next_offset}, these rows start at {r.expected_floor}; "
                    "another writer was here"
                )

    def to_json(self) -> str:
        """Canonical compact JSON: equal floors give equal text."""
        return dump({place: _floor_to_list(floor) for place, floor in self.partitions.items()})

    @classmethod
    def from_json(cls, text: str) -> Floors:
        """Read what `to_json` wrote."""
        return cls({place: _floor_from_list(value) for place, value in parse(text).items()})


def floor_in_force(metadata: TableMetadata) -> Floors:
    """Floors of the main branch: of its nearest snapshot that carries any.

    The table property counts only if no snapshot does (they may all have been made by another program, or expired).
    """
    carrier = carrier_of(metadata, FLOOR)
    text = metadata.properties.get(FLOOR) if carrier is None else summary_of(carrier).get(FLOOR)
    return Floors() if text is None else Floors.from_json(text)


def carrier_of(metadata: TableMetadata, key: str) -> Snapshot | None:
    """Newest snapshot of the main branch whose summary has `key`."""
    return next((s for s in lineage_of(metadata) if key in summary_of(s)), None)


def lineage_of(metadata: TableMetadata) -> Iterable[Snapshot]:
    """Snapshots of the main branch, newest first, as far as they are kept."""
    return ancestors_of(metadata.snapshot_by_name(MAIN_BRANCH), metadata)


def summary_of(snapshot: Snapshot) -> Mapping[str, str]:
    """Properties of a snapshot's summary; empty if it has none."""
    return {} if snapshot.summary is None else snapshot.summary.additional_properties


def dump(values: Mapping[Place, Any]) -> str:
    """Canonical compact JSON {log id: {topic: {partition: value}}}, in order of place."""
    nested: dict[str, dict[str, dict[str, Any]]] = {}
    for place in sorted(values):
        topics = nested.setdefault(place.log_id, {})
        topics.setdefault(place.topic, {})[str(place.partition)] = values[place]
    return json.dumps(nested, separators=(",", ":"))


def parse(text: str) -> dict[Place, Any]:
    """Read what `dump` wrote."""
    return {
        Place(log_id, topic, int(partition)): value
        for log_id, topics in json.loads(text).items()
        for topic, partitions in topics.items()
        for partition, value in partitions.items()
    }


def _floor_to_list(floor: PartitionFloor) -> list[Any]:
    mark = floor.fingerprint
    return [floor.next_offset, None if mark is None else [mark.timestamp_us, mark.crc]]


def _floor_from_list(value: list[Any]) -> PartitionFloor:
    next_offset, mark = value
    return PartitionFloor(next_offset, None if mark is None else Fingerprint(*mark))
