"""The total order of trades as one number, so that the first and the last of many are found without sorting.

`arg_min(price, number)` costs little more than `min`; `first(price ORDER BY ...)` and `arg_min` over a row of columns
cost a multiple. A number is only used where the bounds of the files prove that it tells every two rows apart: see
docs/decisions/006-bars-plan.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from k2app.query.reading.bounds import Bounds, Known

WORD_BITS = 62
"""Bits of a BIGINT that are used: never negative, and no sum of two parts overflows."""

ANY_ROW = '({time}, "sequence" IS NOT NULL, coalesce("sequence", 0), log_id, topic, "partition", "offset")'
"""The total order of any rows, null sequences first."""


@dataclass(frozen=True)
class _Part:
    """One column of the order, as a number in `[0, 2 ** bits)`."""

    sql: str
    bits: int


def order_number(known: Known, time: str, length_us: int) -> str:
    """SQL that grows with the total order.

    Parameters
    ----------
    known
        Bounds of the files that the rows are from.
    time
        SQL of microseconds (BIGINT) in `[0, length_us)`, by which the rows that are compared are ordered first.

    Returns
    -------
    str
        BIGINT or HUGEINT; a row of columns where the bounds do not tell, or do not fit.
    """
    parts = _parts(known)
    if parts is None:
        return ANY_ROW.format(time=time)
    words = list(_words([_Part(time, (length_us - 1).bit_length()), *parts]))
    if any(word.bits > WORD_BITS for word in words):
        return ANY_ROW.format(time=time)
    if len(words) == 1:
        return words[0].sql
    if len(words) == 2:  # noqa: PLR2004 - what a HUGEINT holds
        high, low = words
        return f"({high.sql})::HUGEINT * {1 << low.bits}::HUGEINT + ({low.sql})"
    return f"({', '.join(word.sql for word in words)})"


def order_of_all(known: Known) -> str:
    """SQL that grows with the total order, whatever the times; as `order_number`."""
    times = known.get("timestamp")
    if times is None or not isinstance(times.low, int) or not isinstance(times.high, int):
        return ANY_ROW.format(time="timestamp")
    return order_number(known, f"(epoch_us(timestamp) - ({times.low}))", times.high - times.low + 1)


def _parts(known: Known) -> list[_Part] | None:
    """What breaks ties in time; None where the bounds do not tell."""
    if not all(name in known and known[name].constant for name in ("log_id", "topic")):
        return None
    parts = []
    for name in ("sequence", "partition", "offset"):
        bounds = known.get(name)
        if bounds is None:
            return None
        part = _part(name, bounds)
        if part.bits:
            parts.append(part)
    return parts


def _part(name: str, bounds: Bounds) -> _Part:
    if not isinstance(bounds.low, int) or not isinstance(bounds.high, int):
        return _Part("0", 0)
    span = bounds.high - bounds.low
    value = f'("{name}"::BIGINT - ({bounds.low}))'
    if not bounds.has_nulls:
        return _Part(value, span.bit_length())
    return _Part(f"coalesce({value} + 1, 0)", (span + 1).bit_length())


def _words(parts: Iterable[_Part]) -> Iterable[_Part]:
    """As few numbers as hold the parts, in their order."""
    word: _Part | None = None
    for part in parts:
        if word is None:
            word = part
        elif word.bits + part.bits <= WORD_BITS:
            word = _Part(f"({word.sql}) * {1 << part.bits} + {part.sql}", word.bits + part.bits)
        else:
            yield word
            word = part
    if word is not None:
        yield word
