"""Which dead letters a load sent again, as the ledger's column `file` names them: what a redrive loads is no file.

`dead letters LOG TOPIC 0:5-7,9 2:3` are offsets 5, 6, 7 and 9 of partition 0 and 3 of partition 2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

REDRIVE: Final = "redrive"
"""Profile of such loads."""

_PREFIX: Final = "dead letters "


class Coordinates(NamedTuple):
    """Where a record is in a log."""

    log_id: str
    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def named(places: Iterable[Coordinates]) -> str:
    """What dead letters of one topic of one log are called; see the module.

    Raises
    ------
    ValueError
        They are of several topics or logs, or there are none.
    """
    offsets: dict[int, list[int]] = defaultdict(list)
    sources = set()
    for place in sorted(set(places)):
        offsets[place.partition].append(place.offset)
        sources.add((place.log_id, place.topic))
    if len(sources) != 1:
        raise ValueError(f"dead letters of one topic of one log have a name, not of {sorted(sources)}")
    ((log_id, topic),) = sources
    parts = (f"{partition}:{','.join(_spans(numbers))}" for partition, numbers in sorted(offsets.items()))
    return f"{_PREFIX}{log_id} {topic} {' '.join(parts)}"


def places_of(file: str) -> Iterator[Coordinates]:
    """The dead letters that `named` named, in order.

    Raises
    ------
    ValueError
        It is not such a name.
    """
    if not file.startswith(_PREFIX):
        raise ValueError(f"{file!r} does not name dead letters")
    log_id, topic, *parts = file.removeprefix(_PREFIX).split(" ")
    for part in parts:
        partition, _, spans = part.partition(":")
        for span in spans.split(","):
            first, _, last = span.partition("-")
            for offset in range(int(first), int(last or first) + 1):
                yield Coordinates(log_id, topic, int(partition), offset)


def _spans(numbers: list[int]) -> Iterator[str]:
    """Runs of ascending numbers."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        inside = [number for _, number in run]
        yield f"{inside[0]}-{inside[-1]}" if len(inside) > 1 else f"{inside[0]}"
