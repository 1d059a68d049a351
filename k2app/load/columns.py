"""Which column of a file holds what: decided once, from the header or the profile."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from k2app.errors import OperatorError
from k2app.load.fields import Cell
from k2app.load.profiles import FileShape, SequenceMode


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one file.

    Attributes
    ----------
    names
        In the file's order; distinct.
    fields
        Fields of the record that are read, with how.
    attributes
        Attribute -> column.
    """

    names: tuple[str, ...]
    fields: dict[str, Cell]
    attributes: dict[str, str]

    @property
    def needed(self) -> list[str]:
        """Columns that are read at all."""
        used = {column for cell in self.fields.values() for column in cell.column} | set(
            self.attributes.values()
        )
        return [name for name in self.names if name in used]


def header_cells(raw: bytes, delimiter: str) -> list[str]:
    """Cells of a record, without spaces around them; raises UnicodeDecodeError."""
    rows = list(csv.reader([raw.decode()], delimiter=delimiter))
    return [cell.strip() for cell in rows[0]]


def is_header(cells: Iterable[str], shape: FileShape, *, fixed_symbol: bool) -> bool:
    """Whether a first line names every column that is needed."""
    return required(shape, fixed_symbol=fixed_symbol) <= set(cells)


def required(shape: FileShape, *, fixed_symbol: bool) -> set[str]:
    """Columns that a header must name; the symbol's is not needed where the operator gives it."""
    needed = {
        column
        for name, cell in shape.cells()
        if not cell.optional and not (fixed_symbol and name == "symbol")
        for column in cell.column
    }
    return needed | set(shape.attributes.values())


def choose(names: Iterable[str], shape: FileShape, sequence: SequenceMode, *, fixed_symbol: bool) -> Columns:
    """Match a file's columns with a profile.

    Parameters
    ----------
    names
        The header's cells, or the profile's `columns`.
    sequence
        Unless it is `source`, a column of sequence numbers is one like any other. With it, a file that has
        no such column has no numbers.
    fixed_symbol
        All rows are of one symbol, which the operator gave.

    Raises
    ------
    OperatorError
        A needed column is missing (names it, and its nearest match), stands twice, or there is a symbol
        column beside a symbol that was given.
    """
    names = tuple(names)
    _refuse_missing(names, required(shape, fixed_symbol=fixed_symbol))
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise OperatorError(f"the header names {', '.join(map(repr, twice))} more than once")
    fields = {
        name: cell
        for name, cell in shape.cells()
        if set(cell.column) <= set(names) and (name != "sequence" or sequence == "source")
    }
    if fixed_symbol and "symbol" in fields:
        column = " ".join(fields["symbol"].column)
        raise OperatorError(
            f"the file says the symbol itself, in column {column!r}; leave out --symbol and --reference"
        )
    return Columns(names, fields, _attributes(names, fields, shape))


def _attributes(names: tuple[str, ...], fields: dict[str, Cell], shape: FileShape) -> dict[str, str]:
    named = dict(shape.attributes)
    if shape.extra == "ignore":
        return named
    taken = (
        {column for cell in fields.values() for column in cell.column}
        | set(named.values())
        | set(shape.ignore)
    )
    return named | {name: name for name in names if name not in taken}


def _refuse_missing(names: tuple[str, ...], needed: set[str]) -> None:
    missing = sorted(needed - set(names))
    if not missing:
        return
    told = [_with_nearest(name, names) for name in missing]
    raise OperatorError(f"the header lacks {', '.join(told)}; it has {', '.join(names)}")


def _with_nearest(name: str, names: tuple[str, ...]) -> str:
    near = get_close_matches(name.lower(), [one.lower() for one in names], n=1)
    if not near:
        return name
    return f"{name} (nearest: {next(one for one in names if one.lower() == near[0])})"
