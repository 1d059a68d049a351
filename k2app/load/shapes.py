"""What a profile says about the files of one data type, beside their fields."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from k2app.errors import OperatorError
from k2app.load.fields import Cell, ProfileData, QuoteFields, ReferenceFields, TradeFields

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
    optional_columns
        So many of the last ones may be missing from a file without header: in every row, or in none. The first
        row decides.
    delimiter
        One ASCII character.
    attributes
        Attribute -> column, where the attribute has a name of its own.
    json_attributes
        Column, if the file has it, whose cells are JSON objects of texts: attributes too. K2's own CSV has one.
    extra
        What becomes of columns that nothing names: attributes under their own name, or ignored.
    ignore
        Columns that are left out.
    only
        Column -> values it may have; a row with another one is rejected.
    sequence
        Mode if the command does not say.
    symbol_in_file_name
        Regular expression with a group `symbol`, for files of one symbol; searched in the file's name.
    currency_in_symbol
        Regular expression with a group `currency`, for files of one symbol; searched in the symbol. Where it
        finds nothing, the currency is the exchange's.
    """

    header: Literal["yes", "no", "optional"]
    columns: tuple[str, ...] = ()
    optional_columns: Annotated[int, Field(strict=True, ge=0)] = 0
    delimiter: str = ","
    attributes: dict[str, str] = Field(default_factory=dict)
    json_attributes: str | None = None
    extra: Literal["attributes", "ignore"] = "attributes"
    ignore: tuple[str, ...] = ()
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sequence: SequenceMode = "none"
    symbol_in_file_name: str | None = None
    currency_in_symbol: str | None = None

    @field_validator("delimiter")
    @classmethod
    def _one_plain_character(cls, value: str) -> str:
        if len(value) != 1 or not value.isascii() or value in '"\r\n\0':
            raise ValueError("takes one ASCII character other than a quote or a line end")
        return value

    @field_validator("symbol_in_file_name", "currency_in_symbol")
    @classmethod
    def _has_its_group(cls, value: str | None, info: ValidationInfo) -> str | None:
        group = str(info.field_name).partition("_")[0]
        try:
            named = value is None or group in re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        if not named:
            raise ValueError(f"takes a regular expression with a group (?P<{group}>...)")
        return value

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if self.header == "yes":
            return self
        if not self.columns:
            raise ValueError(f"header = {self.header!r} needs columns = [...]")
        if unknown := sorted(self.named() - set(self.columns)):
            raise ValueError(f"columns lacks {', '.join(unknown)}, which a field is read from")
        always = self.columns[: max(len(self.columns) - self.optional_columns, 0)]
        if unsure := sorted(self.named() - set(always)):
            raise ValueError(f"optional_columns = {self.optional_columns}: a field needs {', '.join(unsure)}")
        return self

    @model_validator(mode="after")
    def _currency_is_of_one_symbol(self) -> Self:
        if self.currency_in_symbol is not None and {"symbol", "currency"} & set(dict(self.cells())):
            raise ValueError("currency_in_symbol is for files of one symbol, without columns for either")
        return self

    @model_validator(mode="after")
    def _sequence_is_there(self) -> Self:
        if self.sequence == "source" and "sequence" not in dict(self.cells()):
            raise ValueError("sequence = 'source' needs a field `sequence`")
        return self

    def named(self) -> set[str]:
        """Columns that the profile reads by name."""
        fields = {column for _, cell in self.cells() for column in cell.column}
        return fields | set(self.attributes.values()) | set(self.only)

    def columns_of(self, cells: int) -> tuple[str, ...]:
        """Columns of a file without header whose first row has so many cells."""
        missing = len(self.columns) - cells
        return self.columns[:cells] if 0 < missing <= self.optional_columns else self.columns

    def currency(self, symbol: str | None) -> str | None:
        """What the symbol of all rows says about their currency, if anything."""
        if symbol is None or self.currency_in_symbol is None:
            return None
        found = re.search(self.currency_in_symbol, symbol)
        return None if found is None else found["currency"]

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
