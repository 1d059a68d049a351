"""Two ways to the same answer, timed in turns: the machine's other work hits both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Ask = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """Times of both ways.

    Parameters
    ----------
    reference_ms, ours_ms
        Medians.
    ratio
        Median of ours to reference, turn by turn.
    """

    reference_ms: float
    ours_ms: float
    ratio: float


def times_ms(asks: dict[str, Ask], turns: int, warm: int = 3) -> dict[str, list[float]]:
    """Time each in turns, after some turns that do not count."""
    found: dict[str, list[float]] = {name: [] for name in asks}
    for turn in range(-warm, turns):
        for name, ask in asks.items():
            begun = time.perf_counter()
            ask()
            if turn >= 0:
                found[name].append((time.perf_counter() - begun) * 1_000)
    return found


def paired(reference: Ask, ours: Ask, turns: int) -> Pair:
    """Time ours against a reference."""
    found = times_ms({"reference": reference, "ours": ours}, turns)
    ratios = (ours / theirs for theirs, ours in zip(found["reference"], found["ours"], strict=True))
    return Pair(
        statistics.median(found["reference"]), statistics.median(found["ours"]), statistics.median(ratios)
    )
