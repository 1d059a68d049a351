"""What may be asked of the lake's own history."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from k2app.errors import RequestError
from k2app.query.requests import Bound, Int64, Name, Names, Paged, Ranged, Request

TableName = Literal["trades", "quotes", "reference_data", "gaps", "dead_letters", "loads"]

RowTableName = Literal["trades", "quotes", "reference_data", "gaps", "dead_letters"]
"""Tables whose rows have coordinates on the log."""

Moment = Annotated[str, Field(min_length=1, max_length=64)]
"""A snapshot id, a tag, or a time."""


class SnapshotsRequest(Ranged, Paged):
    """The snapshots that are kept."""

    table: TableName | None = Field(None, description="Only snapshots of this table.")
    start: Bound | None = Field(None, description="Committed from this time on, inclusive.")
    end: Bound | None = Field(None, description="Committed before this time.")
    order: Literal["asc", "desc"] = Field("desc", description="Oldest or newest first.")


class SnapshotRequest(Request):
    """One snapshot."""

    id: Int64 = Field(description="Id of the snapshot.")


class DiffRequest(Request):
    """What came between two snapshots."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Moment = Field(alias="from", description="What was there before: a snapshot id, a tag or a time.")
    to: Moment | None = Field(None, description="What is there after: the same; without it, the newest.")
    table: RowTableName | None = Field(None, description="Only rows of this table.")
    symbol: Names = Field((), description="Only this symbol; may be given several times.")
    exchange: Name | None = Field(None, description="Only this exchange.")

    @model_validator(mode="after")
    def _no_pin(self) -> Self:
        if self.pin is not None:
            raise RequestError(self.pin, "has no use here: `from` and `to` say which snapshots are compared")
        return self
