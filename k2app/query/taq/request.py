"""What may be asked of trades with their quotes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from k2app.market.durations import parse_duration_us
from k2app.query.requests import FromLoads, Name, Names, Paged, Ranged

MAX_DURATION = 24
"""Characters of a duration."""


def _duration(text: str) -> str:
    parse_duration_us(text)
    return text


class TaqRequest(Ranged, FromLoads, Paged):
    """Trades with the quote that prevailed."""

    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")
    order: Literal["asc", "desc"] = Field("asc", description="Oldest or newest first.")
    max_age: Annotated[str, Field(max_length=MAX_DURATION), AfterValidator(_duration)] | None = Field(
        None, description="No quote that is older than this when the trade is made, such as 500ms, 5s or 2h."
    )
    match: Literal["at", "before"] = Field(
        "at", description="The last quote at or before the time of a trade, or strictly before it."
    )

    @property
    def max_age_us(self) -> int | None:
        """The age in microseconds."""
        return None if self.max_age is None else parse_duration_us(self.max_age)

    def identity(self) -> dict[str, object]:
        """As in `Request`; the order and number of times symbols are named does not matter."""
        return {**super().identity(), "symbol": sorted(set(self.symbol))}
