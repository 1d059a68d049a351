"""What an answer or a replay on its way says of itself, and how it ends."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from k2app.client.pins import pins


@dataclass(frozen=True)
class Notice:
    """One thing a reader of the rows must know.

    Parameters
    ----------
    code
        For programs, such as `duplicates_hidden` or `open_gaps`.
    message
        For people.
    count
        Rows, gaps or symbols it is about.
    """

    code: str
    message: str
    count: int


class Saying(Protocol):
    """A course, as far as it speaks of itself."""

    said: Mapping[str, Any]

    def close(self) -> None:
        """Stop here."""


class Opened:
    """Rows on their way. Close it (or use `with`) where it is not read to its end: the server then stops.

    Parameters
    ----------
    course
        Where they come from.
    """

    def __init__(self, course: Saying) -> None:
        self._saying = course
        # Who forgets to close it must not keep the connection.
        weakref.finalize(self, course.close)

    @property
    def snapshots(self) -> dict[str, int | None]:
        """Snapshot id of every table that takes part; None where it had none yet."""
        return dict(self._saying.said["snapshots"])

    @property
    def pin(self) -> str:
        """The same as text: given as `snapshots`, it has the same answer again."""
        return pins(self.snapshots)

    @property
    def as_of(self) -> datetime | None:
        """When the newest of them was committed; None if nothing was."""
        text = self._saying.said["as_of"]
        return None if text is None else datetime.fromisoformat(text)

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What is left out, and what is missing."""
        return tuple(Notice(w["code"], w["message"], w["count"]) for w in self._saying.said["warnings"])

    def close(self) -> None:
        """Stop here; what was not read yet is lost."""
        self._saying.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
