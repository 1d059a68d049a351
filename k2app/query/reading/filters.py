"""What rows a query wants, said twice from one source: to the planner (pruning) and to SQL (exact).

Column names come from code and schemas only; every value is bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import Any, Literal

from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
    NotEqualTo,
)

Operator = Literal["=", "<>", ">=", "<", "<=", "in", "not in", "has any"]

Scalar = str | int | date | Decimal

_PRUNING: dict[str, type[BooleanExpression]] = {
    "=": EqualTo,
    "<>": NotEqualTo,
    ">=": GreaterThanOrEqual,
    "<": LessThan,
    "<=": LessThanOrEqual,
}


@dataclass(frozen=True)
class Term:
    """One condition on one column.

    Parameters
    ----------
    value
        For times (`is_time`) UTC microseconds; for `in`, `not in` and `has any` (of a list) a tuple. `not in`
        takes null for a value.
    or_null
        Null matches too.
    """

    column: str
    operator: Operator
    value: Scalar | tuple[str, ...] | tuple[int, ...]
    is_time: bool = False
    or_null: bool = False

    def pruning(self) -> BooleanExpression:
        """The condition for the planner."""
        if self.operator in {"not in", "has any"} or self.or_null:
            # Files that hold no other values are few: they are read, and nothing comes of them.
            return AlwaysTrue()
        # pyiceberg's predicates take positional arguments, which their pydantic signature hides from the type checker
        is_in: Any = In
        compared: Any = _PRUNING
        if isinstance(self.value, tuple):
            found: BooleanExpression = is_in(self.column, set(self.value))
        else:
            found = compared[self.operator](self.column, self.value)
        return found

    def sql(self, name: str) -> tuple[str, dict[str, object]]:
        """The condition for SQL, and its parameters, named after `name`."""
        if self.operator == "has any":
            return f"list_has_any({quoted(self.column)}, ${name}::VARCHAR[])", {name: list(self.value)}  # type: ignore[arg-type]  # a tuple
        if isinstance(self.value, tuple):
            names = {f"{name}_{n}": value for n, value in enumerate(self.value)}
            listed = f"{quoted(self.column)} IN ({', '.join(f'${n}' for n in names)})"
            return (f"({listed}) IS NOT TRUE" if self.operator == "not in" else listed), dict(names)
        value = f"make_timestamptz(${name})" if self.is_time else f"${name}"
        condition = f"{quoted(self.column)} {self.operator} {value}"
        if self.or_null:
            condition = f"({condition} OR {quoted(self.column)} IS NULL)"
        return condition, {name: self.value}


Filter = tuple[Term, ...]
"""All of these."""


def pruning(terms: Filter) -> BooleanExpression:
    """All terms for the planner."""
    return reduce(And, (term.pruning() for term in terms), AlwaysTrue())  # type: ignore[arg-type]  # And.__new__ may give either


def where(terms: Filter) -> tuple[str, dict[str, object]]:
    """All terms as an SQL condition with its parameters."""
    parts: list[str] = ["true"]
    parameters: dict[str, object] = {}
    for number, term in enumerate(terms):
        sql, values = term.sql(f"filter_{number}")
        parts.append(sql)
        parameters |= values
    return " AND ".join(parts), parameters


def any_of(column: str, values: Iterable[str] | Iterable[int]) -> Filter:
    """`column` is one of these; no values: no condition."""
    distinct: tuple[Any, ...] = tuple(sorted(set(values)))
    if len(distinct) == 1:
        return (Term(column, "=", distinct[0]),)
    return (Term(column, "in", distinct),) if distinct else ()


def none_of(column: str, values: Iterable[str]) -> Filter:
    """`column` is none of these, or null; no values: no condition."""
    distinct = tuple(sorted(set(values)))
    return (Term(column, "not in", distinct),) if distinct else ()


def equal(column: str, value: Scalar | None) -> Filter:
    """`column` is this; None: no condition."""
    return () if value is None else (Term(column, "=", value),)


def named(symbols: Iterable[str], exchange: str | None) -> Filter:
    """Rows of these symbols and this exchange; of all of them where none is given."""
    return (*any_of("symbol", symbols), *equal("exchange", exchange))


def between(column: str, start_us: int | None, end_us: int | None) -> Filter:
    """`column` in `[start, end)`; None: open on that side."""
    bounds: tuple[tuple[Operator, int | None], ...] = ((">=", start_us), ("<", end_us))
    return tuple(Term(column, op, us, is_time=True) for op, us in bounds if us is not None)


def within(column: str, low: Decimal | None, high: Decimal | None, *, or_null: bool = False) -> Filter:
    """`column` in `[low, high]`; None: open on that side."""
    bounds: tuple[tuple[Operator, Decimal | None], ...] = ((">=", low), ("<=", high))
    return tuple(Term(column, op, value, or_null=or_null) for op, value in bounds if value is not None)


def has_any(column: str, values: Iterable[str]) -> Filter:
    """The list `column` has one of these; no values: no condition."""
    distinct = tuple(sorted(set(values)))
    return (Term(column, "has any", distinct),) if distinct else ()


def known_until(until_us: int | None, column: str = "committed_at") -> Filter:
    """Rows committed by then; None: no condition."""
    return () if until_us is None else (Term(column, "<=", until_us, is_time=True),)


def quoted(name: str) -> str:
    """A column's name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
