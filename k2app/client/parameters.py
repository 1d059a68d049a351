"""Values as the texts that a URL has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral

from k2app.errors import RequestError
from k2app.query.times import parse_time

Texts = list[tuple[str, str]]
"""Names and texts; a name that was given several values comes several times."""

TAKES = "str, bool, int, Decimal, date, datetime with a zone, or several of them"


def to_texts(values: Mapping[str, object]) -> Texts:
    """Write parameters as a URL has them; those that are None are not given.

    Parameters
    ----------
    values
        By name; a name that is a word of Python's has an underscore behind it (`from_`).

    Raises
    ------
    RequestError
        A value has no exact text: a float, or a time without a zone.
    """
    return [
        (wire_name(name), _text(wire_name(name), value))
        for name, given in values.items()
        if given is not None
        for value in _each(given)
    ]


def wire_name(name: str) -> str:
    """Name of a parameter in a URL."""
    return name.removesuffix("_")


def _each(given: object) -> Iterable[object]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        return (given,)
    return given


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return _time(name, value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Integral):
        return str(int(value))
    hint = "; a float is not exact, give a Decimal or text" if isinstance(value, float) else ""
    raise RequestError(name, f"takes {TAKES}; got {value!r}{hint}")


def _time(name: str, moment: datetime) -> str:
    text = moment.isoformat()
    try:
        parse_time(text, up=False)
    except ValueError as error:
        raise RequestError(name, str(error)) from error
    return text
