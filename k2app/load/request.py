"""What is to be loaded, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from k2app.load import numbering
from k2app.load.ledger import LoadEntry
from k2app.load.numbering import Key, Range
from k2app.load.profiles import Profile, SequenceMode
from k2app.load.sources import Digest
from k2app.market.exchanges import Exchange
from k2app.market.topics import DataType

Offsets = dict[int, tuple[int, int]]
"""[start, end) by partition."""


@dataclass(frozen=True)
class Request:
    """What to load, and how."""

    path: Path
    exchange: Exchange
    data_type: DataType
    profile: Profile
    symbol: str | None
    sequence: SequenceMode
    limit: int | None = None
    """Rows to send at most; None: all."""
    strict: bool = False
    again: bool = False
    dry_run: bool = False
    rejects: Path | None = None
    """Folder for the rejects; None: `settings.rejects_dir`."""

    def identity(self, found: Digest) -> tuple[str, str, str, str, str | None]:
        """What makes two loads the same: the bytes, and how they are read; not what the file is called."""
        names = (self.exchange.name, str(self.data_type), self.profile.identity(self.data_type))
        return (found.sha256, *names, self.symbol)


@dataclass
class Report:
    """What became of a load. `sent` is empty for a dry run."""

    load_id: str
    path: Path
    data_type: DataType
    topic: str
    rows: int = 0
    rejects: int = 0
    size_bytes: int = 0
    """Size of the file when it was read; it may be gone by the end of the load."""
    ambiguous: int = 0
    rejects_file: Path | None = None
    earlier: LoadEntry | None = None
    """Load of the same file before this one."""
    numbers: dict[Key, Range] = field(default_factory=dict)
    sent: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Offsets [start, end) by partition; other loads' rows may lie in between."""
    flags: dict[str, int] = field(default_factory=dict)
    """Rows in the lake by sequence flag, once `waiting` has seen them there."""
    took_s: float = 0.0

    @property
    def continued(self) -> list[Key]:
        """Symbols and dates of which other files were loaded before: their numbers go on from those."""
        if self.earlier is not None and self.earlier.numbers:
            return []
        return sorted(key for key, given in self.numbers.items() if given.first > numbering.FIRST)


Phase = Literal["counting", "sending"]


class Progress(Protocol):
    """Hears how far a load is."""

    def __call__(self, phase: Phase, rows: int, rejects: int, bytes_read: int) -> None:
        """Rows and rejects so far, bytes of the file read so far."""
