"""A market for storms: one CSV file in K2's own format, with everything in it that a sequence check must tell."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

HEADER = "symbol,timestamp,price,quantity,side,trade_id,conditions,sequence\n"

SYMBOLS = 48
"""Enough that each of four partitions has a dozen."""

DAYS = 5
"""Trading dates: the states of several scopes live side by side."""

OPEN = datetime(2026, 1, 5, tzinfo=UTC)
"""11:00 in Sydney on the first day."""

LATE_BY_ROWS = 400
"""Most rows by which a held back one comes later: more than one small flush."""

FAULTS = {
    "skipped": 0.001,
    "malformed": 0.001,
    "late": 0.003,
    "repeated": 0.003,
    "corrected": 0.001,
    "unnumbered": 0.0005,
}
"""Share of the rows that each fault befalls; the others are as they should be."""


@dataclass(frozen=True)
class Market:
    """What was written: rows that can be read, and rows that cannot."""

    rows: int
    rejects: int
    bytes: int


def write_market(path: Path, rows: int, seed: int) -> Market:
    """Write at least `rows` readable rows; the same seed and size give the same bytes."""
    rng = np.random.default_rng(seed)
    good = bad = 0
    with path.open("w", encoding="ascii") as file:
        file.write(HEADER)
        for day in range(DAYS):
            lines = _Day(rng, OPEN + timedelta(days=day), -(-rows // DAYS)).lines()
            malformed = sum(",n/a," in line for line in lines)
            good, bad = good + len(lines) - malformed, bad + malformed
            file.writelines(lines)
    return Market(good, bad, path.stat().st_size)


class _Day:
    """One trading date: every symbol counts from 1."""

    def __init__(self, rng: np.random.Generator, start: datetime, rows: int) -> None:
        self._rows, self._start = rows, start
        # A fifth more: what is skipped or malformed gives no row.
        n = rows + rows // 5 + 1
        self._symbol = rng.integers(0, SYMBOLS, n).tolist()
        self._fault = rng.choice(
            [*FAULTS, "none"], n, p=[*FAULTS.values(), 1 - sum(FAULTS.values())]
        ).tolist()
        self._pick = rng.random(n).tolist()
        self._next = [1] * SYMBOLS
        self._sent: list[tuple[int, int, int]] = []

    def lines(self) -> list[str]:
        found: list[str] = []
        held: list[tuple[int, str]] = []
        good = 0
        for i, (symbol, fault, pick) in enumerate(zip(self._symbol, self._fault, self._pick, strict=True)):
            if good >= self._rows:
                break
            while held and held[0][0] <= i:
                found.append(held.pop(0)[1])
            line = self._line(i, symbol, fault, pick)
            if fault == "late":
                held = sorted([*held, (i + 1 + int(pick * LATE_BY_ROWS), line)])
            elif line:
                found.append(line)
            good += bool(line) and fault != "malformed"
        return found + [line for _, line in held]

    def _line(self, i: int, symbol: int, fault: str, pick: float) -> str:
        """Text of arrival `i`; empty: a number that nobody ever sees."""
        if fault in {"repeated", "corrected"} and self._sent:
            place, symbol, sequence = self._sent[int(pick * len(self._sent))]
            return self._text(place, symbol, str(sequence), _price(place + (fault == "corrected")))
        if fault == "unnumbered":
            return self._text(i, symbol, "", _price(i))
        sequence = self._next[symbol]
        self._next[symbol] += 1
        if fault == "skipped":
            return ""
        if fault == "malformed":
            return self._text(i, symbol, str(sequence), "n/a")
        if fault == "none":
            self._sent.append((i, symbol, sequence))
        return self._text(i, symbol, str(sequence), _price(i))

    def _text(self, place: int, symbol: int, sequence: str, price: str) -> str:
        at = self._start + timedelta(milliseconds=place * 50)
        side = "BUY" if place % 2 else "SELL"
        return (
            f"C{symbol:02},{at:%Y-%m-%dT%H:%M:%S.%f}Z,{price},{1 + place % 9},{side},T{place},,{sequence}\n"
        )


def _price(place: int) -> str:
    return f"{10 + place % 97}.{place % 10_000:04}"
