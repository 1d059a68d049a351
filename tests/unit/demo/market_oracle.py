"""A slow, obvious reader and sequence check, to hold the generator's ledger against.

It knows the files and the case table of the sequence check, and nothing of how the market was made.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

SYDNEY = ZoneInfo("Australia/Sydney")
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SIDES = {"BUY", "SELL", "SELL_SHORT", "UNKNOWN"}
Row = dict[str, str]


def fault(row: Row) -> str | None:
    """Name the first field that breaks the schema."""
    checks = {
        "symbol": lambda text: text != "",
        "timestamp": is_time,
        "price": is_decimal,
        "quantity": is_decimal,
        "bid_price": is_optional_decimal,
        "bid_quantity": is_optional_decimal,
        "ask_price": is_optional_decimal,
        "ask_quantity": is_optional_decimal,
        "side": lambda text: text in SIDES,
        "sequence": str.isdecimal,
    }
    return next((name for name, good in checks.items() if name in row and not good(row[name])), None)


def is_time(text: str) -> bool:
    """Whether it is a UTC time with microseconds that exists."""
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return UTC_TIME.fullmatch(text) is not None


def is_decimal(text: str) -> bool:
    """Whether it fits decimal(18, 8)."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -8 and abs(number) < Decimal(10) ** 10


def is_optional_decimal(text: str) -> bool:
    """Whether it is empty or fits decimal(18, 8)."""
    return text == "" or is_decimal(text)


def rows(path: Path) -> Iterator[tuple[int, Row | None, str | None]]:
    """Line, row, and the field at fault; a row with too few or too many fields is None."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        for line, fields in enumerate(reader, start=2):
            row = dict(zip(header, fields, strict=True)) if len(fields) == len(header) else None
            yield line, row, fault(row) if row is not None else None


def scope_of(exchange: str, row: Row) -> str | None:
    """Sydney date for ASX; none for the continuous venue."""
    if exchange != "asx":
        return None
    return dt.datetime.fromisoformat(row["timestamp"]).astimezone(SYDNEY).date().isoformat()


@dataclass
class State:
    """State of one (symbol, scope), and what it went through."""

    low: int
    high: int
    high_time: dt.datetime
    epoch: int = 0
    missing: set[int] = field(default_factory=set)
    events: list[tuple[str, int, int, int]] = field(default_factory=list)
    seen: dict[int, Row] = field(default_factory=dict)

    def open(self, first: int, last: int) -> None:
        if first <= last:
            self.missing |= set(range(first, last + 1))
            self.events.append(("opened", first, last, self.epoch))

    def ranges(self) -> list[tuple[int, int]]:
        """Missing numbers as ranges."""
        starts = sorted(n for n in self.missing if n - 1 not in self.missing)
        ends = sorted(n for n in self.missing if n + 1 not in self.missing)
        return list(zip(starts, ends, strict=True))


def contiguous(states: dict[tuple[str, str | None], State], exchange: str, row: Row) -> str:
    """Flag by the case table of the contiguous rule, case by case."""
    key, number = (row["symbol"], scope_of(exchange, row)), int(row["sequence"])
    time = dt.datetime.fromisoformat(row["timestamp"])
    if key not in states:
        states[key] = State(number, number, time)
        if exchange == "asx":
            states[key].open(1, number - 1)
        return "first"
    state = states[key]
    silent = time - state.high_time >= dt.timedelta(hours=1)
    if exchange == "binance" and number < state.high / 2 and silent:
        state.events += [("abandoned", *gap, state.epoch) for gap in state.ranges()]
        state.missing, state.epoch = set(), state.epoch + 1
        state.low, state.high, state.high_time = number, number, time
        return "reset"
    if number > state.high:
        flag = "ok" if number == state.high + 1 else "gap"
        state.open(state.high + 1, number - 1)
        state.high, state.high_time = number, time
        return flag
    if number in state.missing:
        state.missing.remove(number)
        state.events.append(("filled", number, number, state.epoch))
        return "late"
    if number < state.low:
        state.open(number + 1, state.low - 1)
        state.low = number
        return "late"
    return "regressed" if number < state.high and time > state.high_time else "duplicate"


def increasing(states: dict[tuple[str, str | None], State], exchange: str, row: Row) -> str:
    """Flag by the case table of the increasing rule; a row that was there before to the letter is a copy."""
    key, number = (row["symbol"], scope_of(exchange, row)), int(row["sequence"])
    time = dt.datetime.fromisoformat(row["timestamp"])
    if key not in states:
        states[key] = State(number, number, time, seen={number: row})
        return "first"
    state = states[key]
    copied = state.seen.get(number) == row
    state.seen.setdefault(number, row)
    if number > state.high:
        state.high = number
        return "ok"
    return "duplicate" if copied or number == state.high else "regressed"
