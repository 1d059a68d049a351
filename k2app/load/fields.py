"""What a profile says about one field: its column, and how a cell is read.

In TOML a field is the name of its column, or a table of the keys below: `price = "Price"` is short for
`price = { column = "Price" }`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from k2app.load.patterns import check_pattern

EXCHANGE_ZONE = "exchange"
"""Value of `zone`: the time zone of the exchange that is loaded."""

Unit = Literal["s", "ms", "us", "ns"]
"""Of an integer time."""

UNITS: tuple[Unit, ...] = ("s", "ms", "us", "ns")
"""All of them, as `unit = "auto"` takes them."""

MAX_SCALE = 18
"""Digits of a decimal, so of its integer form."""


class ProfileData(BaseModel):
    """A table of a profile: immutable, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _units(value: Any) -> Any:
    return UNITS if value == "auto" else _listed(value)


class Cell(ProfileData):
    """Where a field is found.

    Parameters
    ----------
    column
        Name of the column; several are joined by a space.
    optional
        The header may lack it.
    nulls
        Cells that say nothing, besides the empty one.
    """

    column: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
    optional: bool = False
    nulls: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value


class Text(Cell):
    """A text, or the name of one of a few things; `values` maps the source's words to ours, no others."""

    values: dict[str, str] = Field(default_factory=dict)


class Number(Cell):
    """An exact decimal.

    Parameters
    ----------
    scale
        A cell without a point counts in units of 10^-scale; one with a point is plain.
    """

    scale: Annotated[int, Field(strict=True, ge=0, le=MAX_SCALE)] = 0


class Integer(Cell):
    """A whole number of 64 bits, not negative."""


class Conditions(Cell):
    """A list of words; spaces around them and empty ones are left out. A cell `["a","b"]` is JSON."""

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ";"


class Date(Cell):
    """A calendar date by a pattern of %Y %m %d."""

    format: str = "%Y-%m-%d"

    @field_validator("format")
    @classmethod
    def _readable(cls, value: str) -> str:
        return check_pattern(value, "Ymd", "Ymd")


class Time(Cell):
    """An instant.

    Parameters
    ----------
    format
        `iso`: ISO 8601 with Z or an offset. `epoch`: an integer since 1970. Else a pattern of
        %Y %m %d %H %M %S and %f (1 to 6 digits of a second, last). All parts but %f have a fixed width:
        `1/2/2014` is not read by %m/%d/%Y, since it may as well be the first of February.
    unit
        Of integers: one, or several that are told apart by their size, row by row (s < 1e11 <= ms < 1e14 <=
        us < 1e17 <= ns); `auto` is all four. With `iso`, integers are read only if it is given.
    zone
        Of a pattern: `exchange`, or an IANA name.
    """

    format: str = "iso"
    unit: Annotated[tuple[Unit, ...], BeforeValidator(_units)] = ()
    zone: str | None = None

    @field_validator("format")
    @classmethod
    def _readable(cls, value: str) -> str:
        return value if value in ("iso", "epoch") else check_pattern(value, "YmdHMSf", "Ymd")

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is None or value == EXCHANGE_ZONE:
            return value
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("takes 'exchange' or an IANA time zone such as 'Australia/Sydney'") from error
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.format == "epoch" and not self.unit:
            raise ValueError(
                "format = 'epoch' needs unit = 's', 'ms', 'us', 'ns', a list of these, or 'auto'"
            )
        if self.is_pattern and (self.zone is None or self.unit):
            raise ValueError("a pattern needs zone = 'exchange' or an IANA name, and takes no unit")
        if not self.is_pattern and self.zone is not None:
            raise ValueError(f"zone has no use with format = {self.format!r}, which says the zone itself")
        return self

    @property
    def is_pattern(self) -> bool:
        """Whether cells are local times by a pattern."""
        return self.format not in ("iso", "epoch")


class _Instrument(ProfileData):
    symbol: Text | None = None
    exchange: Text | None = None
    asset_class: Text | None = None
    currency: Text | None = None


class _Event(_Instrument):
    timestamp: Time
    conditions: Conditions | None = None
    sequence: Integer | None = None


class TradeFields(_Event):
    """Fields of trades. Without `symbol` a file holds one symbol; without `side` it is UNKNOWN."""

    price: Number
    quantity: Number
    side: Text | None = None
    trade_id: Text | None = None


class QuoteFields(_Event):
    """Fields of quotes."""

    bid_price: Number
    bid_quantity: Number | None = None
    ask_price: Number
    ask_quantity: Number | None = None


class ReferenceFields(_Instrument):
    """Fields of reference data."""

    company_id: Text
    symbol: Text
    name: Text | None = None
    isin: Text | None = None
    listed_from: Date | None = None
    listed_to: Date | None = None
