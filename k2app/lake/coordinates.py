"""Conditions on where a record is in a log, for pyiceberg scans."""

from __future__ import annotations

from typing import Any, Final

from pyiceberg.expressions import And, BooleanExpression, EqualTo, GreaterThanOrEqual, LessThan

from k2app.lake.floors import Place

COORDINATES: Final = ("log_id", "topic", "partition", "offset")
"""Where a record is in a log."""


def within(place: Place, start: int, end: int) -> BooleanExpression:
    """Condition: the record is in `place` at an offset in [start, end)."""
    # pyiceberg's predicates take positional arguments, which their pydantic signature hides from the type checker
    equal: Any = EqualTo
    at_least: Any = GreaterThanOrEqual
    below: Any = LessThan
    return And(
        equal("log_id", place.log_id),
        equal("topic", place.topic),
        equal("partition", place.partition),
        at_least("offset", start),
        below("offset", end),
    )
