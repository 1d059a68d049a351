"""What the footers of Parquet files say of the values in them: bounds that let SQL leave work out.

A bound may be wider than the values, never narrower; so what follows from one is certain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from k2app.lake.catalog import reading
from k2app.lake.fileio import local_path
from k2app.query.reading.plan import Recent

BOUNDS_KEPT = 16_384
"""Bounds of files in memory: a kilobyte each."""

FILES_ASKED = 64
"""Files of a query whose footers are read; of more, the time (2 ms for a million rows) is not worth it."""

INTEGERS = ("timestamp", "sequence", "partition", "offset")

TEXTS = (
    "symbol", "exchange", "currency", "sequence_flag", "log_id", "topic",
    "conditions.list.element", "attributes.key_value.key", "attributes.key_value.value",
)  # fmt: skip

COLUMNS = frozenset((*INTEGERS, *TEXTS))
"""Parquet paths that bounds are kept of."""

Value = int | bytes


@dataclass(frozen=True)
class Bounds:
    """Values of one column over some rows.

    Parameters
    ----------
    low, high
        No value is lower or higher; both None: there is no value at all. Texts as UTF-8.
    has_nulls
        Whether there may be rows without a value.
    """

    low: Value | None
    high: Value | None
    has_nulls: bool

    @property
    def constant(self) -> bool:
        """Whether every row has the same value."""
        return self.low is not None and self.low == self.high and not self.has_nulls

    def may_hold(self, text: str) -> bool:
        """Whether a row may have this text."""
        value: Any = text.encode()
        return self.low is not None and self.high is not None and self.low <= value <= self.high

    def joined(self, other: Bounds) -> Bounds:
        """Bounds of both."""
        lows = [bound for bound in (self.low, other.low) if bound is not None]
        highs = [bound for bound in (self.high, other.high) if bound is not None]
        ends: tuple[Any, Any] = (min(lows, default=None), max(highs, default=None))
        return Bounds(*ends, self.has_nulls or other.has_nulls)


Known = dict[str, Bounds]
"""Bounds by Parquet path; a path that is not in it may have any value."""


def bounds_of(kept: Recent[Known], locations: Iterable[str]) -> Known:
    """Bounds over all rows of some files; nothing known of no files, or of very many.

    Parameters
    ----------
    kept
        Bounds of files that were read before; files never change.

    Raises
    ------
    TransientError
        A footer could not be read.
    """
    paths = tuple(locations)
    if not 0 < len(paths) <= FILES_ASKED:
        return {}
    files = [kept.get(path, lambda path=path: _read(path)) for path in paths]  # type: ignore[misc]
    return _joined(files)


def _read(location: str) -> Known:
    path = local_path(location)
    if path is None:
        return {}
    with reading(f"data file {location}"):
        footer = pq.read_metadata(path)
    if footer.num_row_groups == 0:
        return {}
    numbers = [n for n in range(footer.num_columns) if footer.schema.column(n).path in COLUMNS]
    return _joined([of_group(footer.row_group(group), numbers) for group in range(footer.num_row_groups)])


def of_group(group: Any, numbers: list[int]) -> Known:
    """Bounds of some columns, by their numbers, in one row group."""
    found = {}
    for number in numbers:
        column = group.column(number)
        bounds = _of_column(column.statistics, column.num_values)
        if bounds is not None:
            found[column.path_in_schema] = bounds
    return found


def _of_column(statistics: Any, slots: int) -> Bounds | None:
    """Bounds of one column chunk; None where its statistics do not tell."""
    if statistics is None or not statistics.has_null_count:
        return None
    if statistics.has_min_max:
        return Bounds(statistics.min_raw, statistics.max_raw, statistics.null_count > 0)
    return Bounds(None, None, has_nulls=True) if statistics.null_count == slots else None


def _joined(parts: list[Known]) -> Known:
    first, *others = parts
    known = {}
    for path, bounds in first.items():
        if all(path in part for part in others):
            total = bounds
            for part in others:
                total = total.joined(part[path])
            known[path] = total
    return known
