"""What may be asked of what there is: ranges of time, and completeness by trading date."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from k2app.errors import RequestError
from k2app.query.requests import MAX_DAYS, Day, FromLoads, Name, Names, Paged, Request

DataTypeName = Literal["trades", "quotes"]


class RangeRequest(Request, FromLoads):
    """First and last times."""

    data_type: DataTypeName | None = Field(None, description="Only of this table.")
    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")


class CompletenessRequest(Request, FromLoads, Paged):
    """What is there of each trading date, and what is missing."""

    data_type: DataTypeName = Field("trades", description="Of which table.")
    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")
    start_date: Day | None = Field(None, description="From this trading date on.")
    end_date: Day | None = Field(None, description="Up to this trading date, exclusive.")
    state: Literal["available", "degraded", "missing"] | None = Field(
        None, description="Only dates in this state."
    )

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start_date is not None and self.end_date is not None:
            days = (self.end_date - self.start_date).days
            if not 0 <= days <= MAX_DAYS:
                raise RequestError("end_date", f"is before start_date, or more than {MAX_DAYS} days after it")
        return self

    def identity(self) -> dict[str, object]:
        """As in `Request`; the order and number of times symbols are named does not matter."""
        return {**super().identity(), "symbol": sorted(set(self.symbol))}
