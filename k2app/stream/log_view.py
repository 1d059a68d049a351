"""A message log as those see it who only look: nothing is written, no position is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from k2app.stream.log_space import Usage


class LogView(Protocol):
    """Looks into one log.

    Raises
    ------
    TransientError
        From every method: the log does not answer.
    """

    log_id: str

    def bounds(self, names: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
        """First kept and next offset of every partition of the topics `names`; a topic that is not there has none."""

    def time_us_at(self, topic: str, partition: int, offset: int) -> int | None:
        """When the record at `offset`, or the next one kept, came; None: there is none."""

    def records(self, topic: str, partition: int) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Key and value of every record kept, in order; nothing of a topic that is not there."""

    def newest(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """Newest value of a key; None: there is none. Looks from the end."""

    def usage(self) -> Usage | None:
        """Room that the log takes on this machine; None: it is elsewhere."""

    def close(self) -> None:
        """Close connections."""
