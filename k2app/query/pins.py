"""A snapshot set as text: `trades:123,quotes:456`, as answers name it."""

from __future__ import annotations

from collections.abc import Mapping

from k2app.lake.tables import Name

NONE = "none"
"""Stands for the id of a table that had no snapshot yet."""

TAKES = "takes TABLE:ID,TABLE:ID, such as trades:123,quotes:456"

_INT64 = 2**63


def parse_pins(text: str) -> dict[str, int | None]:
    """Snapshot id by table; None: the table had no snapshot yet.

    Raises
    ------
    ValueError
        Says what was wrong and what is taken.
    """
    found: dict[str, int | None] = {}
    for part in text.split(","):
        table, colon, number = (piece.strip() for piece in part.partition(":"))
        if not colon or table not in list(Name):
            raise ValueError(f"{part!r} is not a table's snapshot; {TAKES} (tables: {', '.join(Name)})")
        if table in found:
            raise ValueError(f"{text!r} names {table} twice; {TAKES}")
        found[table] = _id(number, part)
    return found


def pins_text(pins: Mapping[str, int | None]) -> str:
    """A snapshot set as text, in order of the tables' names."""
    return ",".join(f"{table}:{NONE if number is None else number}" for table, number in sorted(pins.items()))


def canonical_pins(text: str) -> str:
    """The same set in the form of `pins_text`."""
    return pins_text(parse_pins(text))


def _id(number: str, part: str) -> int | None:
    if number in {NONE, "null"}:
        return None
    if not (number.isascii() and number.isdecimal() and int(number) < _INT64):
        raise ValueError(f"{part!r} has no snapshot id; {TAKES}")
    return int(number)
