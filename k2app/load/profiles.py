"""Profiles: what a kind of file looks like, in TOML (`profiles/*.toml`, or a file of yours).

A profile has a table per data type (`[trades]`, `[quotes]`, `[reference_data]`), with the fields in
`[trades.fields]`; see `fields.py` for those. A new vendor's format is a new TOML file, no code.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from k2app.errors import OperatorError
from k2app.load.fields import Cell, ProfileData, QuoteFields, ReferenceFields, TradeFields
from k2app.market.topics import EXCHANGE_PATTERN, DataType

SequenceMode = Literal["source", "assign", "none"]
"""Where sequence numbers come from: the file (source), the loader (assign), nowhere (none)."""


class FileShape(ProfileData):
    """What a file of one data type looks like.

    Parameters
    ----------
    header
        Whether the first line names the columns; `optional`: it is a header if it names all that are needed.
    columns
        Names of the columns of a file without header, in order.
    delimiter
        One ASCII character.
    attributes
        Attribute -> column, where the attribute has a name of its own.
    extra
        What becomes of columns that nothing names: attributes under their own name, or ignored.
    ignore
        Columns that are left out.
    sequence
        Mode if the command does not say.
    symbol_in_file_name
        Regular expression with a group `symbol`, for files of one symbol; searched in the file's name.
    """

    header: Literal["yes", "no", "optional"]
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    attributes: dict[str, str] = Field(default_factory=dict)
    extra: Literal["attributes", "ignore"] = "attributes"
    ignore: tuple[str, ...] = ()
    sequence: SequenceMode = "none"
    symbol_in_file_name: str | None = None

    @field_validator("delimiter")
    @classmethod
    def _one_plain_character(cls, value: str) -> str:
        if len(value) != 1 or not value.isascii() or value in '"\r\n\0':
            raise ValueError("takes one ASCII character other than a quote or a line end")
        return value

    @field_validator("symbol_in_file_name")
    @classmethod
    def _names_a_symbol(cls, value: str | None) -> str | None:
        try:
            named = value is None or "symbol" in re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        if not named:
            raise ValueError("takes a regular expression with a group (?P<symbol>...)")
        return value

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if self.header == "yes":
            return self
        if not self.columns:
            raise ValueError(f"header = {self.header!r} needs columns = [...]")
        named = {column for _, cell in self.cells() for column in cell.column} | set(self.attributes.values())
        if unknown := sorted(named - set(self.columns)):
            raise ValueError(f"columns lacks {', '.join(unknown)}, which a field is read from")
        return self

    @model_validator(mode="after")
    def _sequence_is_there(self) -> Self:
        if self.sequence == "source" and "sequence" not in dict(self.cells()):
            raise ValueError("sequence = 'source' needs a field `sequence`")
        return self

    def sequence_mode(self, asked: SequenceMode | None) -> SequenceMode:
        """Where sequence numbers come from: as the operator asks, else as the profile says.

        Raises
        ------
        OperatorError
            `source` is asked for and the profile names none, or the record has no sequence at all.
        """
        names = [name for name, _ in self.cells()]
        if asked == "source" and "sequence" not in names:
            raise OperatorError(
                "--sequence source: the profile names no column of sequence numbers; use assign or none"
            )
        if asked == "assign" and "timestamp" not in names:
            raise OperatorError("--sequence assign: reference data has no sequence numbers; leave it out")
        return self.sequence if asked is None else asked

    def cells(self) -> list[tuple[str, Cell]]:
        """Fields of the record that are read from columns, in the schema's order."""
        fields = getattr(self, "fields", None)
        found = (
            [] if fields is None else [(name, getattr(fields, name)) for name in type(fields).model_fields]
        )
        return [(name, cell) for name, cell in found if cell is not None]


class TradesFile(FileShape):
    """A file of trades."""

    fields: TradeFields


class QuotesFile(FileShape):
    """A file of quotes.

    Parameters
    ----------
    absent_when_zero
        A side of the book whose price (or quantity) is zero is not there: both are null.
    """

    fields: QuoteFields
    absent_when_zero: tuple[Literal["price", "quantity"], ...] = ()


class ReferenceFile(FileShape):
    """A file of reference data."""

    fields: ReferenceFields


class Profile(ProfileData):
    """A kind of file.

    Parameters
    ----------
    name
        `asx`, or the path of the file it was read from.
    exchange
        Whose files these are, if the command does not say.
    """

    name: str
    exchange: Annotated[str, Field(pattern=f"^{EXCHANGE_PATTERN}$")] | None = None
    trades: TradesFile | None = None
    quotes: QuotesFile | None = None
    reference_data: ReferenceFile | None = None

    def shape(self, data_type: DataType) -> FileShape:
        """What its files of a data type look like.

        Raises
        ------
        OperatorError
            The profile does not say; names those it does.
        """
        shapes: dict[DataType, FileShape | None] = {one: getattr(self, one.value) for one in DataType}
        found = shapes[data_type]
        if found is None:
            known = ", ".join(one for one, shape in shapes.items() if shape is not None) or "nothing"
            raise OperatorError(f"profile {self.name} does not read {data_type}; it reads {known}")
        return found


def names() -> list[str]:
    """Profiles that ship with K2, sorted."""
    found = resources.files(__package__).joinpath("profiles").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in found if file.name.endswith(".toml"))


def load(name_or_path: str) -> Profile:
    """Read a profile that ships, by name, or a file of yours, by a path that ends in `.toml`.

    Raises
    ------
    OperatorError
        There is none of that name (lists those there are), the file cannot be read, or it is not valid:
        names file, key, value and what it takes.
    """
    if name_or_path.endswith(".toml"):
        return _profile(name_or_path, _file_text(Path(name_or_path)))
    known = names()
    if name_or_path not in known:
        near = get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OperatorError(
            f"profile {name_or_path!r} is not known; {hint}known are {', '.join(known)}, or the path of a .toml file"
        )
    shipped = resources.files(__package__).joinpath("profiles", f"{name_or_path}.toml")
    return _profile(name_or_path, shipped.read_text(encoding="utf-8"))


def _file_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"profile {path} cannot be read: {error}") from error


def _profile(name: str, text: str) -> Profile:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"profile {name} is not TOML: {error}") from error
    if "name" in table:
        raise OperatorError(
            f"profile {name}: name = {table['name']!r}: unknown key; the file's name is the name"
        )
    try:
        return Profile(name=name, **table)
    except ValidationError as error:
        raise OperatorError(f"profile {name}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """First problem only: the next one shows when it is mended."""
    problem: Any = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} = {problem['input']!r}: unknown key"
    takes = problem["msg"].removeprefix("Value error, ")
    got = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
    return f"{key}{got}: {takes}"
