"""Log and lake together: whether the lake's floors belong to this log, and it can go on from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from k2app.lake.floors import Place
from k2app.operate.doctor.findings import Finding, failed, fine, warning

PART = "log and lake"

Bounds = Mapping[tuple[str, int], tuple[int, int]]
"""First kept and next offset by topic and partition."""


def look_at_floors(
    log_id: str, bounds: Bounds, floors: Mapping[Place, int], ingested: Iterable[str]
) -> Iterator[Finding]:
    """Compare where the lake ends with what the log holds. Pure.

    Parameters
    ----------
    log_id, bounds
        The log, and what it keeps.
    floors
        Next offset of every partition of every log that the lake has rows of.
    ingested
        Topics in which a lost offset is a hole.
    """
    ours = {
        (place.topic, place.partition): floor for place, floor in floors.items() if place.log_id == log_id
    }
    others = sorted({place.log_id for place in floors if place.log_id != log_id})
    if others and not ours:
        yield failed(
            PART,
            f"the lake was written from log {', '.join(others)}, K2_LOG_URL names {log_id}",
            "set K2_LOG_URL back; or, if the new log is meant, K2_ON_NEW_LOG=continue",
        )
        return
    found = list(_partitions(bounds, ours, set(ingested)))
    yield from found
    if not found:
        behind = sum(max(end - ours.get(at, start), 0) for at, (start, end) in bounds.items())
        yield fine(PART, f"the log goes on where the lake ends; {behind:,} rows to be ingested")


def _partitions(
    bounds: Bounds, floors: Mapping[tuple[str, int], int], ingested: set[str]
) -> Iterator[Finding]:
    for (topic, partition), floor in sorted(floors.items()):
        what = f"partition {partition} of {topic}"
        if (topic, partition) not in bounds:
            yield warning(PART, f"the lake has rows of {what}, which is not served", "see K2_EXCHANGES")
            continue
        start, end = bounds[topic, partition]
        if floor > end:
            yield failed(
                PART,
                f"{what} ends at {end:,}, the lake at {floor:,}: the topic was made anew or restored",
                "restore the topic, or load into another namespace (K2_LAKE_NAMESPACE)",
            )
        elif floor < start and topic in ingested:
            yield failed(
                PART,
                f"{what} starts at {start:,}, the lake ends at {floor:,}: {start - floor:,} offsets are gone",
                "set K2_ON_HOLE=continue to record the hole and go on",
            )
