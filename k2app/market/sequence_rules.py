"""What a venue promises about the numbers of its records."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

CONTINUOUS_SCOPE = 0
"""Scope of a numbering that never starts again; the others are days since 1970-01-01."""

INT64_MAX = 2**63 - 1
"""A sequence number is an Avro long."""


class Rule(BaseModel):
    """The sequence rule of one exchange and data type.

    Parameters
    ----------
    kind
        `contiguous`: each symbol counts 1 by 1. `increasing`: numbers grow but skip. `none`: no meaning.
    scope
        `trading_date`: the numbering starts again with each one. `continuous`: it does not.
    first
        The number a scope starts with, if known; only a contiguous rule has a use for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["contiguous", "increasing", "none"]
    scope: Literal["trading_date", "continuous"] = "continuous"
    first: Annotated[int, Field(strict=True, ge=-(2**63), le=INT64_MAX)] | None = None

    @model_validator(mode="after")
    def _first_has_a_use(self) -> Self:
        if self.first is not None and self.kind != "contiguous":
            raise ValueError(f"first = {self.first} has no use with kind = '{self.kind}'; leave it out")
        return self

    def text(self) -> str:
        """One canonical line, pinned in the table's properties: `contiguous trading_date first=1`."""
        if self.kind == "none":
            return "none"
        first = "" if self.first is None else f" first={self.first}"
        return f"{self.kind} {self.scope}{first}"

    def scopes(self, trading_dates: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Scope per row: its trading date, or `CONTINUOUS_SCOPE`; int32[n], days since 1970-01-01."""
        if self.scope == "trading_date":
            return trading_dates
        return np.full(len(trading_dates), CONTINUOUS_SCOPE, np.int32)


UNSEQUENCED = Rule(kind="none")
"""The rule of what has no sequence at all: reference data."""
