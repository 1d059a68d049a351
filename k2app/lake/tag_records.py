"""What the ledger says of each tag, and what readers check before they answer from one; see `tags`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Final, Literal

from pyiceberg.table import Table

from k2app.errors import OperatorError

PREFIX: Final = "k2.tag."
"""Of the property that holds a tag's record, before the tag's name."""

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}", re.ASCII)
"""Begins with a letter: never mistaken for a snapshot id or a time."""

Ids = Mapping[str, int | None]
"""Snapshot id by table, every table of the lake; None: it had no snapshot."""

State = Literal["making", "whole", "dropping"]


@dataclass(frozen=True)
class Tag:
    """A tag as its record has it.

    Parameters
    ----------
    snapshots
        What it means.
    created_us
        When it was first asked for, UTC microseconds.
    """

    name: str
    snapshots: Ids
    created_us: int
    state: State = "making"

    def text(self) -> str:
        """Value of its property."""
        return json.dumps(
            {key: value for key, value in asdict(self).items() if key != "name"}, separators=(",", ":")
        )


def tags_of(ledger: Table) -> dict[str, Tag]:
    """Every tag by name, from the properties of the table `loads`."""
    return {
        key.removeprefix(PREFIX): Tag(name=key.removeprefix(PREFIX), **json.loads(text))
        for key, text in sorted(ledger.properties.items())
        if key.startswith(PREFIX)
    }


def find_tag(ledger: Table, name: str) -> Tag:
    """The tag of that name, whole or not.

    Raises
    ------
    OperatorError
        There is none; names the nearest.
    """
    known = tags_of(ledger)
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.0)
        hint = (
            f"the nearest is {near[0]!r}" if near else "there are no tags yet: `k2 tag create NAME` makes one"
        )
        raise OperatorError(f"there is no tag {name!r}; {hint}")
    return known[name]


def check_whole(tag: Tag) -> None:
    """Check that a tag is whole.

    Raises
    ------
    OperatorError
        It is half made or half dropped; says the way out.
    """
    if tag.state == "making":
        raise OperatorError(
            f"tag {tag.name!r} is half made: `k2 tag create {tag.name}` finishes it, "
            f"`k2 tag drop {tag.name}` removes it"
        )
    if tag.state == "dropping":
        raise OperatorError(f"tag {tag.name!r} is half dropped: `k2 tag drop {tag.name}` finishes that")


def check_pinned(tag: Tag, tables: Mapping[str, Table]) -> None:
    """Check that a tag is what these tables have under its name.

    Raises
    ------
    OperatorError
        Somebody has changed it.
    """
    for table_name, table in tables.items():
        found, meant = ref_of(table, tag.name), tag.snapshots.get(table_name)
        if found != meant:
            raise OperatorError(
                f"tag {tag.name!r} means snapshot {meant} of {table_name}, the table has it at {found}: another "
                f"program changed it; `k2 tag drop {tag.name}`, and make it again"
            )


def ref_of(table: Table, name: str) -> int | None:
    """Snapshot that a table has under a name; None: it has none."""
    ref = table.metadata.refs.get(name)
    return None if ref is None else ref.snapshot_id
