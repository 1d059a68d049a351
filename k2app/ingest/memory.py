"""How much memory the process takes, how much it may, and whether that is too much."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from k2app.settings import MemorySettings

SHARE = 0.8
"""Share of what there is that is taken by default: queries and a flush that is under way go beyond the limit."""

RELIEF = 0.9
"""Share of the limit below which memory is no longer short: reading must not stop and go with every batch."""

STATM = Path("/proc/self/statm")
"""Source: proc(5): sizes of the process in pages; the second is what is resident, the third the shared part of it."""

CGROUPS = Path("/sys/fs/cgroup")
"""Where control groups are mounted (Source: cgroups(7))."""

CGROUP_LIMITS = (("0", CGROUPS, "memory.max"), ("memory", CGROUPS / "memory", "memory.limit_in_bytes"))
"""Key in /proc/self/cgroup, root, and file of the limit: version 2, version 1."""


def used_bytes() -> int | None:
    """Memory of this process that the system cannot take back, in bytes; None: it does not say (not Linux)."""
    try:
        _, resident, shared, *_ = STATM.read_text().split()
    except OSError:
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def granted_bytes(membership: Path = Path("/proc/self/cgroup")) -> int:
    """Memory that the machine has, or what the containers around this process may take if that is less; bytes."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_cgroup_limits(membership)])


def _cgroup_limits(membership: Path) -> Iterator[int]:
    """Limits of the process's control groups, up to their roots; "max" is none."""
    for number, root, name in _cgroups(membership):
        at = root / number.lstrip("/")
        for folder in (at, *at.parents):
            if not folder.is_relative_to(root):
                break
            text = _read(folder / name)
            if text.isdigit():
                yield int(text)


def _cgroups(membership: Path) -> Iterator[tuple[str, Path, str]]:
    for line in _read(membership).splitlines():
        number, controllers, path = line.split(":", 2)
        for key, root, name in CGROUP_LIMITS:
            if key in (number if not controllers else "", *controllers.split(",")):
                yield path, root, name


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        # There is no such controller, or no such system.
        return ""


class MemoryGuard:
    """Whether the process takes more memory than it may.

    Parameters
    ----------
    limit_bytes
        What it may take.
    used
        What it takes, bytes; None: nobody knows, and it is never too much.
    """

    def __init__(self, limit_bytes: int, used: Callable[[], int | None] = used_bytes) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """As of the last look."""
        self.short = False
        """Whether it is too much, until it is well below the limit again."""
        self._used = used

    @classmethod
    def of(cls, settings: MemorySettings) -> MemoryGuard:
        """Guard by the settings."""
        return cls(settings.limit_bytes or int(granted_bytes() * SHARE))

    @property
    def trouble(self) -> str | None:
        """What is wrong, in words; None: nothing."""
        if not self.short:
            return None
        return (
            f"{self.used_bytes:,} bytes are taken, {self.limit_bytes:,} may be (K2_MEMORY_LIMIT_BYTES): what was read "
            "is committed before more is"
        )

    def look(self) -> None:
        """Look how much it is now."""
        self.used_bytes = self._used() or 0
        self.short = self.used_bytes >= self.limit_bytes * (RELIEF if self.short else 1)
