"""What may be asked of a replay."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from k2app.errors import RequestError
from k2app.query.answers.formats import MEDIA_TYPES, Format, preferred
from k2app.query.reading.reader import QUOTES, TRADES
from k2app.query.requests import MAX_CURSOR, FromLoads, Name, Names, Ranged

MAX_SPEED = 1e9
"""Event seconds per second: a thousand years in half a minute."""

_UNBOUNDED = "max"


class ReplayFormat(StrEnum):
    """Form of a replay."""

    NDJSON = "ndjson"
    SSE = "sse"
    ARROW = "arrow"
    CSV = "csv"
    PARQUET = "parquet"


PACED = (ReplayFormat.NDJSON, ReplayFormat.SSE)
"""Forms that are written a row at a time, and so may be slow."""

REPLAY_MEDIA_TYPES = {
    ReplayFormat.NDJSON: MEDIA_TYPES[Format.NDJSON],
    ReplayFormat.SSE: "text/event-stream",
    ReplayFormat.ARROW: MEDIA_TYPES[Format.ARROW],
    ReplayFormat.CSV: MEDIA_TYPES[Format.CSV],
    ReplayFormat.PARQUET: MEDIA_TYPES[Format.PARQUET],
}

_ACCEPTED = {
    **{name: form for form, name in REPLAY_MEDIA_TYPES.items()},
    "application/jsonl": ReplayFormat.NDJSON,
    "application/ndjson": ReplayFormat.NDJSON,
    "application/*": ReplayFormat.NDJSON,
    "text/*": ReplayFormat.SSE,
    "*/*": ReplayFormat.NDJSON,
}
"""Forms by media type, and wildcards."""


def replay_format(asked: ReplayRequest, accept: str | None) -> ReplayFormat:
    """Choose the form of a replay, as it was asked for or as the header `Accept` prefers.

    Raises
    ------
    RequestError
        The header takes none of ours, or one that cannot be slow for a replay that is.
    """
    form = asked.format or preferred(accept, _ACCEPTED, ReplayFormat.NDJSON)
    check_paced(asked, form)
    return form


def check_paced(asked: ReplayRequest, form: ReplayFormat) -> None:
    """Check that a replay that waits for its time has a form that can.

    Raises
    ------
    RequestError
        It has not.
    """
    if asked.is_paced and form not in PACED:
        slow = "speed" if math.isfinite(asked.speed) else "rate"
        raise RequestError(slow, f"takes format=ndjson or sse: {form} is written in large pieces")


def _speed(value: object) -> float:
    """A number from text; `max` is infinity."""
    if value == math.inf:
        return math.inf
    try:
        speed = math.inf if value == _UNBOUNDED else float(str(value))
    except ValueError:
        speed = math.nan
    if value != _UNBOUNDED and not 0 < speed <= MAX_SPEED:
        raise ValueError(
            f"{value!r} is not a speed; takes max, or how many times as fast as it happened (1, 60)"
        )
    return speed


Speed = Annotated[
    float,
    BeforeValidator(_speed),
    WithJsonSchema({"type": "string", "pattern": r"^(max|[0-9]+(\.[0-9]+)?)$"}),
]
"""Event seconds per second; infinity: as fast as it can be read."""


class ReplayRequest(Ranged, FromLoads):
    """Trades and quotes, as they happened."""

    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")
    data_type: Literal["trades", "quotes", "both"] = Field("both", description="What to replay.")
    speed: Speed = Field(
        "max",
        validate_default=True,
        description="How many times as fast as it happened (1, 60); max: as fast as it is taken.",
    )
    rate: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        None, description="At most so many rows a second."
    )
    include_duplicates: bool = Field(False, description="Show rows flagged as duplicates too.")
    columns: Names = Field((), description="Only these columns, in this order; may be given several times.")
    cursor: Annotated[str, Field(max_length=MAX_CURSOR)] | None = Field(
        None,
        description="Resume after this place: the token of a progress line; speed and form may be others.",
    )
    format: ReplayFormat | None = Field(  # type: ignore[assignment]  # other forms than those of queries
        None, description="Form of the stream; without it, as `Accept` says, or NDJSON."
    )

    @model_validator(mode="after")
    def _paced_by_rows(self) -> Self:
        if self.format is not None:
            check_paced(self, self.format)
        return self

    @property
    def is_paced(self) -> bool:
        """Whether rows wait for their time."""
        return math.isfinite(self.speed) or self.rate is not None

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables whose rows are replayed, in the order in which they stand at one microsecond."""
        return {"trades": (TRADES,), "quotes": (QUOTES,), "both": (QUOTES, TRADES)}[self.data_type]

    @property
    def speed_text(self) -> str:
        """The speed as it is written in a request."""
        return f"{self.speed:g}" if math.isfinite(self.speed) else _UNBOUNDED

    def identity(self) -> dict[str, object]:
        """As in `Request`: speed and rate make no other question."""
        said = self.model_dump(
            mode="json", exclude={"cursor", "numbers", "format", "control", "speed", "rate"}
        )
        return {**said, "symbol": sorted(set(self.symbol))}
