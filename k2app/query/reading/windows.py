"""Long ranges in pieces that are sorted one after the other, so that memory is bounded whatever the range.

Files hold a day each, sorted by symbol; a total order by time over all symbols needs a sort. Sorting a window of
time at a time gives the same order, since time is its first key. Windows are found while they are read: first by
what the plan says of files, and only where that is too much by counting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from k2app.query.reading.filters import Filter, between
from k2app.query.reading.plan import DataFile
from k2app.query.reading.reader import Reader
from k2app.query.reading.snapshots import SnapshotSet

WINDOW_ROWS = 2_000_000
"""Rows sorted at once: about 360 MB of trades with every column. A file that is cut is read once for each window."""

BUCKETS_US = (86_400_000_000, 60_000_000, 1_000_000, 1_000, 1)
"""Microseconds of the pieces that windows are put together from: a finer one where one alone has too many rows."""

_COUNTS = """
SELECT epoch_us(timestamp) // $bucket_us AS bucket, count(*) AS rows FROM matching GROUP BY ALL ORDER BY ALL
"""

SLACK = 20
"""A twentieth of a window is left free where rows are shared out: buckets do not end where a share does."""

Window = tuple[int | None, int | None]
"""`[start, end)` in microseconds; None: as far as the range goes."""


@dataclass(frozen=True)
class Source:
    """The rows of one table that are wanted."""

    found: SnapshotSet
    table: str
    terms: Filter

    def count(self, reader: Reader, window: Window, bucket_us: int) -> Counter[int]:
        """Rows by bucket of time."""
        terms = (*self.terms, *window_terms(window))
        counted = reader.query(self.found, self.table, terms, _COUNTS, {"bucket_us": bucket_us})
        return Counter(dict(zip(counted["bucket"].to_pylist(), counted["rows"].to_pylist(), strict=True)))


def windows(
    reader: Callable[[], Reader],
    sources: Sequence[Source],
    rows: int = WINDOW_ROWS,
    *,
    descending: bool = False,
) -> Iterator[Window]:
    """Cut the rows of some tables into windows of time.

    Parameters
    ----------
    reader
        Gives the query's way to the lake, asked anew each time: time may pass between two windows.
    rows
        At most this many rows a window, all tables together, unless one microsecond has more.
    descending
        Newest first.

    Returns
    -------
    iterator
        They touch, and together hold every row: the oldest is open to the past, the newest to the future.
    """
    days = _days(reader(), sources)
    yield from _cut(reader, sources, (None, None), days, rows, BUCKETS_US, descending=descending)


def window_terms(window: Window) -> Filter:
    """The window as conditions."""
    return between("timestamp", *window)


def groups(counts: Mapping[int, int], rows: int) -> Iterator[list[int]]:
    """Put buckets together to groups of at most so many rows; one that has more is a group of its own.

    They are about equal, and as few as can be: a file that is cut is read once for each of them.
    """
    total = sum(counts.values())
    share = total / max(1, -(-total // max(1, rows - rows // SLACK)))
    group: list[int] = []
    held = seen = ended = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if group and (held + count > rows or seen + count / 2 > share * (ended + 1)):
            yield group
            group, held, ended = [], 0, ended + 1
        group.append(bucket)
        held += count
        seen += count
    if group:
        yield group


def _cut(
    reader: Callable[[], Reader],
    sources: Sequence[Source],
    window: Window,
    counts: Mapping[int, int],
    rows: int,
    buckets_us: Sequence[int],
    *,
    descending: bool,
) -> Iterator[Window]:
    found = list(groups(counts, rows))
    edges = [window[0], *(group[0] * buckets_us[0] for group in found[1:]), window[1]]
    pieces = list(zip(found or [[]], pairwise(edges), strict=True))
    for group, piece in reversed(pieces) if descending else pieces:
        if sum(counts[bucket] for bucket in group) <= rows or len(buckets_us) == 1:
            yield piece
        else:
            finer = sum((source.count(reader(), piece, buckets_us[1]) for source in sources), Counter())
            yield from _cut(reader, sources, piece, finer, rows, buckets_us[1:], descending=descending)


def _days(reader: Reader, sources: Sequence[Source]) -> Counter[int]:
    """Rows by day: as many as there may be, from the plan alone where it knows."""
    days: Counter[int] = Counter()
    for source in sources:
        files = reader.files(source.found, source.table, source.terms)
        if sum(file.rows for file in files) and any(
            file.first_us is None or file.last_us is None for file in files
        ):
            days += source.count(reader, (None, None), BUCKETS_US[0])
        else:
            days += _planned(files)
    return days


def _planned(files: Iterable[DataFile]) -> Counter[int]:
    days: Counter[int] = Counter()
    for file in files:
        if file.first_us is not None and file.last_us is not None:
            for day in range(file.first_us // BUCKETS_US[0], file.last_us // BUCKETS_US[0] + 1):
                days[day] += file.rows
    return days
