"""What may be asked: one model per query, the same for HTTP, command line and Python."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Literal, Self, TypeVar, get_origin

import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo

from k2app.errors import RequestError
from k2app.lake.tables import SPECS
from k2app.lake.tables import Name as Table
from k2app.query.answers.formats import Format
from k2app.query.pins import canonical_pins
from k2app.query.times import parse_time

DEFAULT_LIMIT = 1_000
"""Rows of a page when the request does not say: a few hundred kilobytes of JSON."""

MAX_SYMBOLS = 1_000
"""Symbols in one request; each is a bound parameter and a term of the plan."""

MAX_NAME = 256
"""Characters in a symbol or exchange; longer ones exist in no feed."""

MAX_CURSOR = 8_192
"""Characters in a cursor: what fits into a URL."""

MAX_PINS = 1_024
"""Characters of a snapshot set: a name and a number of twenty digits for each of a few tables."""

MAX_DAYS = 3_700
"""Days of one summary range: ten years."""


_WHOLE_DIGITS = max(
    field.type.precision - field.type.scale
    for name in (Table.TRADES, Table.QUOTES)
    for field in SPECS[name].arrow_schema
    if pa.types.is_decimal(field.type)
)
"""Digits before the point of the widest price or quantity."""

_AMOUNT_TEXT = re.compile(rf"-?\d{{1,{_WHOLE_DIGITS}}}(\.\d{{1,8}})?", re.ASCII)

_AMOUNT_PLACES = Decimal("1e-8")


def _time(value: object, *, up: bool) -> object:
    return parse_time(value, up=up) if isinstance(value, str) else value


def _start_or_end(value: object) -> object:
    return _time(value, up=True)


def _as_of(value: object) -> object:
    return _time(value, up=False)


def _amount(value: object) -> object:
    """Plain digits, as many as a column holds; never rounded."""
    text = str(value)
    if not _AMOUNT_TEXT.fullmatch(text):
        raise ValueError(
            f"{text[:MAX_NAME]!r} is not a decimal of at most {_WHOLE_DIGITS} digits before the point and 8 after it"
        )
    return Decimal(text).quantize(_AMOUNT_PLACES)


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _date(value: object) -> object:
    """Only YYYY-MM-DD: pydantic would take a bare number for an epoch."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise ValueError(f"{value!r} is not a date; takes YYYY-MM-DD") from error


Day = Annotated[date, BeforeValidator(_date)]
"""A trading date."""

_TIME_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})
"""Of times: text, as requests have it."""

Bound = Annotated[int, BeforeValidator(_start_or_end), _TIME_SCHEMA]
"""UTC microseconds; from text see `times.parse_time`."""

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]

Names = Annotated[tuple[Name, ...], BeforeValidator(_several), Field(max_length=MAX_SYMBOLS)]
"""Several names; from a URL or a command line by giving the parameter several times."""

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]

Pins = Annotated[str, Field(max_length=MAX_PINS), AfterValidator(canonical_pins)]
"""A snapshot set as text."""


Amount = Annotated[Decimal, BeforeValidator(_amount), WithJsonSchema({"type": "string", "format": "decimal"})]
"""A price or quantity: as many digits as the newest schemas hold."""


PINS = ("snapshot_id", "as_of", "snapshots", "tag")
"""Parameters that say which snapshot answers; one of them at most."""


class Request(BaseModel):
    """What every query takes: which snapshot answers, and how decimals are written."""

    # Built at the first use: a worker that nobody asks starts sooner.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    snapshot_id: Int64 | None = Field(None, description="Answer from this snapshot of the table.")
    as_of: Annotated[int, BeforeValidator(_as_of), _TIME_SCHEMA] | None = Field(
        None, description="Answer from the newest snapshots committed by this time."
    )
    snapshots: Pins | None = Field(
        None,
        description="Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had none yet).",
    )
    tag: Name | None = Field(None, description="Answer from the snapshots that this tag names (k2 tag list).")
    numbers: bool = Field(False, description="Write decimals as JSON numbers instead of strings.")
    format: Format | None = Field(None, description="Form of the answer; without it, as `Accept` says.")
    control: bool | None = Field(
        None,
        description="Lines before and after the rows: snapshots, count, hash (NDJSON: unless false; CSV: if true).",
    )

    @model_validator(mode="after")
    def _one_pin(self) -> Self:
        given = [name for name in PINS if getattr(self, name) is not None]
        if len(given) > 1:
            raise RequestError(
                given[1], f"takes no {given[0]} beside it: both say which snapshot answers; give one of them"
            )
        return self

    @property
    def pin(self) -> str | None:
        """Name of the parameter that says which snapshot answers; None: the newest."""
        return next((name for name in PINS if getattr(self, name) is not None), None)

    def identity(self) -> dict[str, object]:
        """What makes two requests pages of one question: everything but page size, place and form."""
        return self.model_dump(mode="json", exclude={"limit", "cursor", "numbers", "format", "control"})


class FromLoads(BaseModel):
    """Mixin: rows that loads brought."""

    include_retracted: bool = Field(False, description="Show rows of retracted loads too.")


class Ranged(Request):
    """A range of event time, `[start, end)`."""

    start: Bound | None = Field(None, description="From this time on, inclusive.")
    end: Bound | None = Field(None, description="Up to this time, exclusive.")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise RequestError("end", "is the same as start, or before start; ranges are [start, end)")
        return self


class Paged(BaseModel):
    """Mixin: a page at a time."""

    limit: Annotated[int, Field(ge=1, lt=2**31)] = Field(
        DEFAULT_LIMIT,
        description="Rows of a page, at most; forms that stream have all rows unless it is given.",
    )
    cursor: Annotated[str, Field(max_length=MAX_CURSOR)] | None = Field(
        None, description="`next` of the page before; the other parameters must be the same."
    )


class RowsRequest(Ranged, FromLoads, Paged):
    """Trades or quotes."""

    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")
    order: Literal["asc", "desc"] = Field("asc", description="Oldest or newest first.")
    include_duplicates: bool = Field(False, description="Show rows flagged as duplicates too.")
    columns: Names = Field((), description="Only these columns, in this order; may be given several times.")
    conditions: Names = Field((), description="Only rows with this condition; several: with any of them.")
    min_price: Amount | None = Field(
        None, description="Only prices from this on; of a quote, each side there is."
    )
    max_price: Amount | None = Field(
        None, description="Only prices up to this; of a quote, each side there is."
    )
    min_quantity: Amount | None = Field(
        None, description="Only quantities from this on; of a quote, each side."
    )
    max_quantity: Amount | None = Field(
        None, description="Only quantities up to this; of a quote, each side."
    )

    def identity(self) -> dict[str, object]:
        """As in `Request`; the order and number of times symbols are named does not matter."""
        return {**super().identity(), "symbol": sorted(set(self.symbol))}


class SummaryRequest(Request, FromLoads):
    """One symbol on one trading date."""

    symbol: Name = Field(description="The symbol.")
    date: Day = Field(description="The trading date, YYYY-MM-DD.")
    exchange: Name | None = Field(None, description="Only this exchange.")


class SummariesRequest(Request, FromLoads):
    """Every symbol, on one trading date or several."""

    start_date: Day = Field(description="First trading date.")
    end_date: Day | None = Field(None, description="Trading date after the last; empty: one date.")
    exchange: Name | None = Field(None, description="Only this exchange.")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        days = 1 if self.end_date is None else (self.end_date - self.start_date).days
        if not 1 <= days <= MAX_DAYS:
            raise RequestError(
                "end_date", f"is start_date itself, before it, or more than {MAX_DAYS} days after it"
            )
        return self


class GapsRequest(Ranged, Paged):
    """Sequence gaps: what is open and what was closed, or the events that led there."""

    symbol: Name | None = Field(None, description="Only this symbol.")
    exchange: Name | None = Field(None, description="Only this exchange.")
    data_type: Literal["trades", "quotes"] | None = Field(None, description="Only gaps of this table.")
    open_only: bool = Field(False, description="Only what is still missing.")
    events: bool = Field(False, description="The events as recorded instead of the state they add up to.")

    @model_validator(mode="after")
    def _one_view(self) -> Self:
        if self.open_only and self.events:
            raise RequestError("open_only", "takes no events beside it: an event is neither open nor closed")
        return self


class SymbolsRequest(Request, FromLoads):
    """The symbols that have rows."""

    exchange: Name | None = Field(None, description="Only this exchange.")
    date: Day | None = Field(
        None, description="Names as they were listed on this date; without it, the newest record."
    )


class StatsRequest(Request):
    """The tables: rows, files, bytes."""


R = TypeVar("R", bound=Request)


def parse(model: type[R], given: Iterable[tuple[str, str]]) -> R:
    """Make a request from names and texts, as a URL or a command line has them.

    Raises
    ------
    RequestError
        A name is unknown (names the nearest), is given twice, or its text is not what it takes.
    """
    values: dict[str, object] = {}
    for name, text in given:
        _check_name(model, name)
        if is_repeatable(model, name):
            values[name] = (*values.get(name, ()), text)  # type: ignore[misc]  # a tuple, put there above
        elif name in values:
            raise RequestError(name, "is given more than once")
        else:
            values[name] = text
    return make(model, **values)


def parameters(model: type[Request]) -> dict[str, FieldInfo]:
    """The parameters of a request by the names that clients use: a field's alias, where it has one; own ones first."""
    return {field.alias or name: field for name, field in own_first(model).items()}


def own_first(model: type[Request]) -> dict[str, FieldInfo]:
    """Fields of a request: its own before those it has from others."""
    owners = [owner for owner in model.__mro__ if issubclass(owner, BaseModel)]
    named = (name for owner in owners for name in owner.__annotations__ if name in model.model_fields)
    return {name: model.model_fields[name] for name in dict.fromkeys(named)}


def is_repeatable(model: type[Request], name: str) -> bool:
    """Whether a parameter may be given several times."""
    return get_origin(parameters(model)[name].annotation) is tuple


def make(model: type[R], **values: object) -> R:
    """Make a request from typed values or texts.

    Raises
    ------
    RequestError
        A value is not what its parameter takes; names the first.
    """
    try:
        return model(**values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else "request"
        message = problem["msg"].removeprefix("Value error, ")
        got = "" if problem["type"] in {"value_error", "missing"} else f"; got {_short(problem['input'])}"
        raise RequestError(name, f"{message}{got}") from error


def _check_name(model: type[Request], name: str) -> None:
    known = parameters(model)
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.0)
        raise RequestError(name, f"is not a parameter here; the nearest is {near[0]}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}..."
