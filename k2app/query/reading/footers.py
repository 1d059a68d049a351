"""Footers of Parquet files, kept: which of a file's row groups may hold rows of a filter, and which hold no others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from k2app.errors import TransientError
from k2app.query.reading.bounds import Bounds, Known, of_group
from k2app.query.reading.filters import Filter, Term

FOOTERS_BYTES = 64 << 20
"""Bytes of all footers in memory: those of some two hundred million rows in files as compaction leaves them."""

GROWTH = 4
"""How many times as large a footer is in memory as in its file."""

GROUP_BYTES = 1_024
"""Bytes of the bounds of one row group."""

COLUMNS = frozenset(("symbol", "exchange", "timestamp", "sequence_flag"))
"""Columns that queries filter by, and whose bounds are kept of every row group."""


PRUNED = frozenset(("=", "in", ">=", "<", "<="))
"""Operators that no null meets, and no value outside of bounds."""


@dataclass(frozen=True)
class Footer:
    """What the end of a Parquet file says.

    Parameters
    ----------
    path
        The file.
    metadata
        As pyarrow reads it; a file that is opened with it is not asked again.
    groups
        Bounds of some columns in each row group.
    """

    path: str
    metadata: Any
    groups: tuple[Known, ...]
    columns: dict[str, list[Bounds | None]] = field(init=False)
    """The same by column."""

    def __post_init__(self) -> None:
        """Turn the bounds."""
        turned = {name: [known.get(name) for known in self.groups] for name in COLUMNS}
        object.__setattr__(self, "columns", turned)

    @property
    def size_bytes(self) -> int:
        """Bytes in memory, about."""
        size: int = self.metadata.serialized_size
        return size * GROWTH + len(self.groups) * GROUP_BYTES

    def rows(self, group: int) -> int:
        """Rows of a row group."""
        rows: int = self.metadata.row_group(group).num_rows
        return rows

    def matching(self, terms: Filter) -> list[int]:
        """Row groups that may hold rows of the filter."""
        found = list(range(len(self.groups)))
        for term in terms:
            if term.column in self.columns and term.operator in PRUNED and not term.or_null:
                found = _matching(found, self.columns[term.column], term)
        return found

    def undecided(self, groups: Sequence[int], terms: Filter) -> Filter:
        """Those of the terms that some row of the row groups may not meet."""
        return tuple(
            term
            for term in terms
            if not all(_holds_only(self.groups[group].get(term.column), term) for group in groups)
        )


def read_footer(path: str) -> Footer:
    """Read the footer of a file.

    Raises
    ------
    TransientError
        It could not be read.
    """
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(error) from error
    numbers = [n for n in range(metadata.num_columns) if _is_kept(metadata.schema.column(n))]
    groups = (of_group(metadata.row_group(group), numbers) for group in range(metadata.num_row_groups))
    return Footer(path, metadata, tuple(groups))


def unreadable(error: Exception) -> TransientError:
    """What is said of a file that cannot be read."""
    return TransientError(f"a data file could not be read, it may have expired: {error}")


def _is_kept(column: Any) -> bool:
    # Statistics have times in the file's own unit; Iceberg's files have microseconds.
    is_other_time = column.path == "timestamp" and "timeUnit=microseconds" not in str(column.logical_type)
    return column.path in COLUMNS and not is_other_time


def _matching(groups: list[int], bounds: list[Bounds | None], term: Term) -> list[int]:
    """Those of the row groups that may hold a row that meets a condition. There may be a thousand symbols."""
    values = sorted(_raw(value) for value in (term.value if isinstance(term.value, tuple) else (term.value,)))
    return [group for group in groups if _may_hold(bounds[group], term.operator, values)]


def _may_hold(bounds: Bounds | None, operator: str, values: list[Any]) -> bool:
    if bounds is None:
        return True
    low: Any = bounds.low
    high: Any = bounds.high
    if low is None or high is None:
        # There is no value, and null meets none of these.
        return False
    if operator in {"=", "in"}:
        at = bisect_left(values, low)
        return at < len(values) and bool(values[at] <= high)
    (value,) = values
    may: bool = {">=": high >= value, "<": low < value, "<=": low <= value}[operator]
    return may


def _holds_only(bounds: Bounds | None, term: Term) -> bool:
    """Whether every row surely meets a condition."""
    if bounds is None or bounds.low is None or bounds.high is None or bounds.has_nulls:
        return False
    value = _raw(term.value)
    low: Any = bounds.low
    high: Any = bounds.high
    if not isinstance(value, type(low)):
        return False
    holds: bool = {
        "=": low == value == high,
        "<>": value < low or high < value,
        ">=": low >= value,
        "<": high < value,
        "<=": high <= value,
    }.get(term.operator, False)
    return holds


def _raw(value: object) -> Any:
    """A value as Parquet's statistics have it."""
    return value.encode() if isinstance(value, str) else value
