"""What may be asked of bars."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from k2app.errors import RequestError
from k2app.market.intervals import Interval, parse_interval
from k2app.market.sessions import DAY_US
from k2app.query.requests import FromLoads, Name, Names, Paged, Ranged

MAX_INTERVAL = 16
"""Characters of an interval."""


def _interval(text: str) -> str:
    parse_interval(text)
    return text


class BarsRequest(Ranged, FromLoads, Paged):
    """Bars: open, high, low, close, volume, VWAP of intervals."""

    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")
    interval: Annotated[str, Field(max_length=MAX_INTERVAL), AfterValidator(_interval)] = Field(
        "1m", description="Length of a bar: a whole number of s, m, h, d or w, such as 30s, 5m, 90m, 1d, 1w."
    )
    align: Literal["utc", "session"] = Field(
        "utc",
        description="Count intervals from midnight UTC, or from the start of the exchange's trading dates.",
    )
    fill: Literal["none", "null", "previous"] = Field(
        "none", description="Intervals without trades: left out, without prices, or at the close before."
    )
    exclude_conditions: Names = Field(
        (),
        description="Leave out trades with this condition instead of the exchange's rule; may be repeated.",
    )
    all_conditions: bool = Field(False, description="Leave no trade out, whatever the exchange's rule.")

    @model_validator(mode="after")
    def _agreeing(self) -> Self:
        if self.all_conditions and self.exclude_conditions:
            raise RequestError(
                "all_conditions", "takes no exclude_conditions beside it: leave one of them out"
            )
        if self.align == "session" and self.length.us > DAY_US and self.length.days is None:
            raise RequestError(
                "interval",
                f"{self.interval} is no whole number of days: align=session takes less than a day, or days",
            )
        return self

    @property
    def length(self) -> Interval:
        """The interval."""
        return parse_interval(self.interval)

    def identity(self) -> dict[str, object]:
        """As in `Request`; the order and number of times names are given does not matter."""
        lists = {name: sorted(set(getattr(self, name))) for name in ("symbol", "exclude_conditions")}
        return {**super().identity(), **lists}
