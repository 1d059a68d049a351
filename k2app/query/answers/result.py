"""An answer: rows, the snapshots they were read from, and what must be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
class Notice:
    """One thing a reader of the rows must know.

    Parameters
    ----------
    code
        `duplicates_hidden`, `retracted_hidden`, `open_gaps`, `off_market_left_out`, `partial_bars`, `unknown_symbol` or
        `nothing_committed`, `dates_missing` or `rows_removed`.
    message
        For people.
    count
        Rows, gaps or symbols it is about.
    """

    code: str
    message: str
    count: int


@dataclass(frozen=True)
class Result:
    """An answer, the same for the same request on the same snapshots.

    Parameters
    ----------
    rows
        Arrow table in the query's order; empty keeps its columns.
    snapshots
        Snapshot id of every table that took part; None where a table had no snapshot yet.
    as_of_us
        When the newest of them was committed, UTC microseconds; None if nothing was.
    next
        Cursor of the page after this one; None on the last.
    warnings
        What was left out, and what is missing.
    """

    rows: pa.Table
    snapshots: Mapping[str, int | None]
    as_of_us: int | None
    next: str | None = None
    warnings: tuple[Notice, ...] = field(default_factory=tuple)
