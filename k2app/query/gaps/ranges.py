"""Sets of whole numbers as ranges, both ends inclusive."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]


def union(ranges: Iterable[Range]) -> list[Range]:
    """The numbers in any of the ranges: disjoint, not touching, ascending."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def outside(one: Range, cuts: Sequence[Range]) -> Iterator[Range]:
    """The numbers of a range that are in none of the cuts, ascending; of many cuts, few are looked at.

    Parameters
    ----------
    cuts
        As `union` gives them.
    """
    start, end = one
    for at in range(bisect_left(cuts, start, key=lambda cut: cut[1]), len(cuts)):
        cut_start, cut_end = cuts[at]
        if cut_start > end:
            break
        if cut_start > start:
            yield start, cut_start - 1
        start = cut_end + 1
    if start <= end:
        yield start, end
