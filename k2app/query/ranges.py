"""Sets of whole numbers as ranges, both ends inclusive."""

from __future__ import annotations

from collections.abc import Iterable

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


def subtract(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """The numbers in the ranges and in none of those taken; touching ranges stay apart."""
    cuts = union(taken)
    left: list[Range] = []
    at = 0
    for first, end in sorted(ranges):
        start = first
        while at < len(cuts) and cuts[at][1] < start:
            at += 1
        for cut_start, cut_end in cuts[at:]:
            if cut_start > end:
                break
            if cut_start > start:
                left.append((start, cut_start - 1))
            start = cut_end + 1
        if start <= end:
            left.append((start, end))
    return left
