"""Which column of a file holds what: decided once, from the header or the profile."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from k2app.errors import OperatorError
from k2app.load.fields import Cell
from k2app.load.shapes import FileShape, SequenceMode


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
    json_attributes
        Column of JSON objects of further attributes.
    only
        Column -> values it may have.
    header
        Whether the file named them itself.
    """

    names: tuple[str, ...]
    fields: dict[str, Cell]
    attributes: dict[str, str]
    json_attributes: str | None
    only: dict[str, tuple[str, ...]]
    header: bool

    @property
    def needed(self) -> list[str]:
        """Columns that are read at all."""
        used = {column for cell in self.fields.values() for column in cell.column}
        used |= {*self.attributes.values(), *self.only}
        return [name for name in self.names if name in used or name == self.json_attributes]


def header_cells(raw: bytes, delimiter: str) -> list[str]:
    """Cells of a record, without spaces around them; raises UnicodeDecodeError."""
    rows = list(csv.reader([raw.decode()], delimiter=delimiter))
    return [cell.strip() for cell in rows[0]]


def is_header(cells: Iterable[str], shape: FileShape, *, fixed_symbol: bool) -> bool:
    """Whether a first line is meant as a header: it names at least half of the columns that are needed.

    One with a column that is misspelt is a header to be refused; as a row of data it would let the profile's own
    order be taken for the file's.
    """
    needed = {name.lower() for name in required(shape, fixed_symbol=fixed_symbol)}
    return 2 * len(needed & {cell.lower() for cell in cells}) >= len(needed)


def required(shape: FileShape, *, fixed_symbol: bool) -> set[str]:
    """Columns that a header must name; the symbol's is not needed where the operator gives it."""
    needed = {
        column
        for name, cell in shape.cells()
        if not cell.optional and not (fixed_symbol and name == "symbol")
        for column in cell.column
    }
    return needed | set(shape.attributes.values()) | set(shape.only)


def choose(
    names: Iterable[str],
    shape: FileShape,
    sequence: SequenceMode,
    *,
    fixed_symbol: bool,
    header: bool = True,
) -> Columns:
    """Match a file's columns with a profile.

    Parameters
    ----------
    names
        The header's cells, or the profile's `columns`.
    header
        Which of the two.
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
    _refuse_missing(names, required(shape, fixed_symbol=fixed_symbol), shape)
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
    packed = shape.json_attributes if shape.json_attributes in names else None
    return Columns(names, fields, _attributes(names, fields, shape), packed, shape.only, header)


def near_misses(columns: Columns, shape: FileShape) -> dict[str, str]:
    """Columns that the profile does not name, and the ones that they may be meant for, which the file lacks."""
    lacking = sorted(shape.named() - set(columns.names))
    known = shape.named() | {*shape.ignore, shape.json_attributes}
    strange = [name for name in columns.names if name not in known]
    found = {name: _nearest(name, lacking) for name in strange}
    return {name: near for name, near in found.items() if near is not None}


def _attributes(names: tuple[str, ...], fields: dict[str, Cell], shape: FileShape) -> dict[str, str]:
    named = dict(shape.attributes)
    if shape.extra == "ignore":
        return named
    taken = (
        {column for cell in fields.values() for column in cell.column}
        | set(named.values())
        | {*shape.ignore, shape.json_attributes}
    )
    return named | {name: name for name in names if name not in taken}


def _refuse_missing(names: tuple[str, ...], needed: set[str], shape: FileShape) -> None:
    missing = sorted(needed - set(names))
    if not missing:
        return
    # A column that the profile knows is not a misspelt one: ask_price is near bid_price.
    strange = [name for name in names if name not in shape.named()]
    told = [_with_nearest(name, strange) for name in missing]
    raise OperatorError(f"the header lacks {', '.join(told)}; it has {', '.join(names)}")


def _with_nearest(name: str, names: list[str]) -> str:
    near = _nearest(name, names)
    return name if near is None else f"{name} (column {near!r}: did you mean {name!r}?)"


def _nearest(name: str, names: list[str]) -> str | None:
    near = get_close_matches(name.lower(), [one.lower() for one in names], n=1)
    return next((one for one in names if one.lower() == near[0]), None) if near else None
