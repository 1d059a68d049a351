"""Which snapshots answer, as parameters say it."""

from __future__ import annotations

from collections.abc import Mapping

from k2app.client.parameters import Texts

_PINNING = frozenset({"snapshot_id", "as_of", "snapshots", "tag", "cursor"})
"""Parameters that say it; a question that is asked again keeps those it was asked with."""


def is_pinned(texts: Texts) -> bool:
    """Whether the parameters say which snapshots answer."""
    return any(name in _PINNING for name, _ in texts)


def pins(snapshots: Mapping[str, int | None]) -> str:
    """A snapshot set as the parameter `snapshots` takes it."""
    return ",".join(f"{table}:{'none' if n is None else n}" for table, n in sorted(snapshots.items()))
