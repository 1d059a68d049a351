"""Throughput of the sequence check, one batch after another, states carried along.

Run: python bench/sequence_check.py [--rows 200000] [--batches 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from k2app.market.sequence_groups import Arrivals
from k2app.market.sequence_rules import Rule
from k2app.market.sequence_states import States
from k2app.market.sequences import check

Int64s = npt.NDArray[np.int64]
Spoil = Callable[[np.random.Generator, Int64s], Int64s]

SECOND_US = 1_000_000


def clean(_: np.random.Generator, sequence: Int64s) -> Int64s:
    """Leave everything in order."""
    return sequence


def gaps(rng: np.random.Generator, sequence: Int64s) -> Int64s:
    """Lose a number before 1 % of the rows (seen from each symbol, a gap or two)."""
    return sequence + np.cumsum(rng.random(len(sequence)) < 0.01)


def copies(rng: np.random.Generator, sequence: Int64s) -> Int64s:
    """Make 1 % of the rows come from 50 numbers ago: a duplicate, and a gap after it."""
    return np.where(rng.random(len(sequence)) < 0.01, np.maximum(sequence - 50, 1), sequence)


def batches(symbols: int, rows: int, count: int, spoil: Spoil) -> list[Arrivals]:
    """Consecutive batches of randomly interleaved symbols."""
    rng = np.random.default_rng(7)
    code = rng.integers(0, symbols, rows * count)
    order = np.argsort(code, kind="stable")
    sizes = np.bincount(code, minlength=symbols)
    sequence = np.empty(len(code), np.int64)
    sequence[order] = spoil(rng, np.arange(len(code)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1)
    names = pa.array([f"SYM{n:05d}" for n in range(symbols)]).take(pa.array(code))
    times = np.arange(len(code), dtype=np.int64) * SECOND_US // 1_000
    return [
        Arrivals(
            pa.concat_arrays([names.slice(start, rows)]),
            np.full(rows, 19_000, np.int32),
            sequence[start : start + rows],
            np.ones(rows, np.bool_),
            times[start : start + rows],
        )
        for start in range(0, rows * count, rows)
    ]


def rate(stream: list[Arrivals], rule: Rule, states: States) -> tuple[float, States]:
    """Million rows a second over the stream, and the states after it."""
    started = time.perf_counter()
    for arrivals in stream:
        states = check(arrivals, states, rule).states
    return sum(map(len, stream)) / (time.perf_counter() - started) / 1e6, states


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows per batch")
    parser.add_argument("--batches", type=int, default=5)
    given = parser.parse_args()
    contiguous = Rule(kind="contiguous", scope="trading_date", first=1)
    increasing = Rule(kind="increasing", scope="trading_date")
    print(f"{given.batches} batches of {given.rows:,} rows; million rows/s, best of 3")
    print(f"{'rule':<12}{'stream':<26}{'20 symbols':>12}{'5,000 symbols':>15}")
    for rule in (contiguous, increasing):
        for name, spoil in (("in order", clean), ("1 % gaps", gaps), ("1 % old numbers", copies)):
            figures = []
            for symbols in (20, 5_000):
                stream = batches(symbols, given.rows, given.batches, spoil)
                figures.append(max(rate(stream, rule, States.empty())[0] for _ in range(3)))
            print(f"{rule.kind:<12}{name:<26}{figures[0]:>12.1f}{figures[1]:>15.1f}")
        figures = []
        for symbols in (20, 5_000):
            stream = batches(symbols, given.rows, given.batches, clean)
            _, states = rate(stream, rule, States.empty())
            figures.append(max(rate(stream, rule, states)[0] for _ in range(3)))
        print(f"{rule.kind:<12}{'all a second time':<26}{figures[0]:>12.1f}{figures[1]:>15.1f}")


if __name__ == "__main__":
    main()
