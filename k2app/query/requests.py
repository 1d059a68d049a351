"""What may be asked: one model per query, the same for HTTP, command line and Python."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from difflib import get_close_matches
from typing import Annotated, Literal, Self, TypeVar, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from k2app.errors import RequestError
from k2app.query.times import parse_time

DEFAULT_LIMIT = 1_000
"""Rows of a page when the request does not say: a few hundred kilobytes of JSON."""

MAX_SYMBOLS = 1_000
"""Symbols in one request; each is a bound parameter and a term of the plan."""

MAX_NAME = 256
"""Characters in a symbol or exchange; longer ones exist in no feed."""

MAX_CURSOR = 8_192
"""Characters in a cursor: what fits into a URL."""

MAX_DAYS = 3_700
"""Days of one summary range: ten years."""


def _time(value: object, *, up: bool) -> object:
    return parse_time(value, up=up) if isinstance(value, str) else value


def _start_or_end(value: object) -> object:
    return _time(value, up=True)


def _as_of(value: object) -> object:
    return _time(value, up=False)


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

Bound = Annotated[int, BeforeValidator(_start_or_end)]
"""UTC microseconds; from text see `times.parse_time`."""

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]

Names = Annotated[tuple[Name, ...], BeforeValidator(_several), Field(max_length=MAX_SYMBOLS)]
"""Several names; from a URL or a command line by giving the parameter several times."""

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Request(BaseModel):
    """What every query takes: which snapshot answers, and how decimals are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    snapshot_id: Int64 | None = Field(None, description="Answer from this snapshot of the table.")
    as_of: Annotated[int, BeforeValidator(_as_of)] | None = Field(
        None, description="Answer from the newest snapshots committed by this time."
    )
    numbers: bool = Field(False, description="Write decimals as JSON numbers instead of strings.")

    @model_validator(mode="after")
    def _one_pin(self) -> Self:
        if self.snapshot_id is not None and self.as_of is not None:
            raise RequestError("as_of", "takes no snapshot_id beside it: both say which snapshot answers")
        return self

    def identity(self) -> dict[str, object]:
        """What makes two requests pages of one question: everything but page size, place and notation."""
        return self.model_dump(mode="json", exclude={"limit", "cursor", "numbers"})


class FromLoads(BaseModel):
    """Mixin: rows that loads brought."""

    include_retracted: bool = Field(False, description="Show rows of retracted loads too.")


class Ranged(Request):
    """A range of event time, `[start, end)`."""

    start: Bound | None = Field(None, description="From this time on, inclusive.")
    end: Bound | None = Field(None, description="Up to this time, exclusive.")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise RequestError("end", "is before start; ranges are [start, end)")
        return self


class Paged(BaseModel):
    """Mixin: a page at a time."""

    limit: Annotated[int, Field(ge=1, lt=2**31)] = Field(
        DEFAULT_LIMIT, description="Rows of a page, at most."
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

    def identity(self) -> dict[str, object]:
        """As in `Request`; the order and number of times symbols are named does not matter."""
        return {**super().identity(), "symbol": sorted(set(self.symbol))}


class SummaryRequest(Request, FromLoads):
    """One symbol on one trading date."""

    symbol: Name
    date: Day
    exchange: Name | None = Field(None, description="Only this exchange.")


class SummariesRequest(Request, FromLoads):
    """Every symbol, on one trading date or several."""

    start_date: Day = Field(description="First trading date.")
    end_date: Day | None = Field(None, description="Trading date after the last; empty: one date.")
    exchange: Name | None = Field(None, description="Only this exchange.")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        days = 1 if self.end_date is None else (self.end_date - self.start_date).days
        if not 0 <= days <= MAX_DAYS:
            raise RequestError("end_date", f"is before start_date, or more than {MAX_DAYS} days after it")
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


def is_repeatable(model: type[Request], name: str) -> bool:
    """Whether a parameter may be given several times."""
    return get_origin(model.model_fields[name].annotation) is tuple


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
    if name not in model.model_fields:
        near = get_close_matches(name, model.model_fields, n=1, cutoff=0.0)
        raise RequestError(name, f"is not a parameter here; the nearest is {near[0]}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}..."
