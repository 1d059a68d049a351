"""What the lake must say of ASX files, worked out from the files by the standard library alone."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

SYDNEY = ZoneInfo("Australia/Sydney")

OFF_MARKET = {"1", "3", "9"}
"""Qualifiers of prints that are not made on the market; so are those of venue X."""

VWAP_PLACES = Decimal("1e-8")


class Numbers:
    """Gives numbers per symbol and trading date, from 1, in the order in which files are loaded."""

    def __init__(self) -> None:
        self._given: Counter = Counter()

    def next(self, symbol: str, date: str) -> int:
        self._given[symbol, date] += 1
        return self._given[symbol, date]


def _lines(path: Path) -> Iterator[tuple[int, list[str], datetime, datetime]]:
    """Line, cells, local time and UTC of each row; times that never were in Sydney are left out."""
    with path.open(newline="") as file:
        for line, cells in enumerate(csv.reader(file), 1):
            wall = datetime.strptime(f"{cells[0]} {cells[1]}", "%m/%d/%Y %H:%M:%S.%f")  # noqa: DTZ007 - local on purpose
            utc = wall.replace(tzinfo=SYDNEY, fold=0).astimezone(UTC)
            if utc.astimezone(SYDNEY).replace(tzinfo=None) == wall:
                yield line, cells, wall, utc


def _shell(symbol: str, line: int, wall: datetime, utc: datetime, numbers: Numbers) -> dict:
    date = wall.date().isoformat()
    sequence = numbers.next(symbol, date)
    return {
        "symbol": symbol,
        "exchange": "asx",
        "currency": "AUD",
        "timestamp": utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "trading_date": date,
        "sequence": sequence,
        "sequence_flag": "first" if sequence == 1 else "ok",
        "source_line": line,
    }


def trades(path: Path, symbol: str, numbers: Numbers) -> list[dict]:
    """Trades of a file, in its order; decimals exact."""
    found = []
    for line, cells, wall, utc in _lines(path):
        price, quantity, qualifiers, venue, buyer = cells[2:]
        attributes = {"venue": venue, "buyer_id": buyer}
        found.append(
            _shell(symbol, line, wall, utc, numbers)
            | {
                "price": Decimal(price),
                "quantity": Decimal(quantity),
                "conditions": qualifiers.split(),
                "attributes": {k: v for k, v in attributes.items() if v} or None,
            }
        )
    return found


def quotes(path: Path, symbol: str, numbers: Numbers) -> list[dict]:
    """Quotes of a file, in its order; a price of zero says that there is no such side, and null stands for both."""
    found = []
    for line, cells, wall, utc in _lines(path):
        bid, ask, bid_quantity, ask_quantity = (Decimal(cell) for cell in cells[2:])
        found.append(
            _shell(symbol, line, wall, utc, numbers)
            | {
                "bid_price": bid or None,
                "bid_quantity": bid_quantity if bid else None,
                "ask_price": ask or None,
                "ask_quantity": ask_quantity if ask else None,
            }
        )
    return found


def in_order(rows: Iterable[dict]) -> list[dict]:
    """As queries give the rows of a symbol."""
    return sorted(rows, key=lambda row: (row["timestamp"], row["sequence"]))


def on_market(trade: dict) -> bool:
    """Whether a trade counts for prices and volume of its day."""
    venue = (trade["attributes"] or {}).get("venue")
    return not OFF_MARKET & set(trade["conditions"]) and venue != "X"


def summaries(rows: Iterable[dict]) -> list[dict]:
    """Days of trades, by date and symbol."""
    days: dict[tuple[str, str], list[dict]] = {}
    for row in in_order(rows):
        days.setdefault((row["symbol"], row["trading_date"]), []).append(row)
    return [_summary(symbol, date, day) for (symbol, date), day in sorted(days.items())]


def _summary(symbol: str, date: str, day: list[dict]) -> dict:
    on = [row for row in day if on_market(row)]
    off = [row for row in day if not on_market(row)]
    prices = [row["price"] for row in on]
    volume = sum((row["quantity"] for row in on), Decimal(0))
    notional = sum((row["price"] * row["quantity"] for row in on), Decimal(0))
    return {
        "symbol": symbol,
        "trading_date": date,
        "open": prices[0] if on else None,
        "high": max(prices, default=None),
        "low": min(prices, default=None),
        "close": prices[-1] if on else None,
        "volume": volume,
        "notional": notional,
        "vwap": (notional / volume).quantize(VWAP_PLACES, ROUND_HALF_EVEN) if volume else None,
        "trades": len(on),
        "off_market_trades": len(off),
        "off_market_volume": sum((row["quantity"] for row in off), Decimal(0)),
        "open_gaps": 0,
    }


DECIMALS = {
    *("price", "quantity", "bid_price", "bid_quantity", "ask_price", "ask_quantity"),
    *("open", "high", "low", "close", "volume", "notional", "vwap", "off_market_volume"),
}
"""Fields that JSON gives as text so that no digit is lost."""


def like(expected: list[dict], answered: list[dict]) -> list[dict]:
    """The answered rows, cut down to what is expected of them, decimals as such."""
    names = list(expected[0]) if expected else []
    return [{name: _value(name, row[name]) for name in names} for row in answered]


def _value(name: str, value: object) -> object:
    return Decimal(str(value)) if name in DECIMALS and value is not None else value


UNLIKE = {"snapshots", "as_of", "warnings", "duplicates_hidden"}
"""What a second load may change in an answer: which snapshot it is of, and how many copies it leaves out."""


def said(answer: dict) -> dict:
    """An answer without `UNLIKE`."""
    rows = [{k: v for k, v in row.items() if k not in UNLIKE} for row in answer["rows"]]
    return {k: v for k, v in answer.items() if k not in UNLIKE} | {"rows": rows}
