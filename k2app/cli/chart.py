"""Candles on a terminal: bars of each symbol as a chart of characters.

::

    BHP at asx, AUD
    45.2 ┤ │  │          a body from open to close, with wicks to high and low: thin and green where the close
         ┤ ┃█ │          is above the open, full and red where below; one column for each bar, or for several
    45.1 ┤ ┃█ ┃
         └─┴───
           05 Jan 23:00 UTC
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

import pyarrow as pa
from rich.text import Text

from k2app.cli.terminal import printable

MIN_WIDTH, MIN_HEIGHT = 24, 4
"""Columns and rows below which nothing can be told any more."""

LABEL_EVERY = 4
"""Rows from one price on the axis to the next."""

TIME_WIDTH = 13
"""Columns that a time on the axis takes, with some space."""


PLACES = Decimal("1e-8")
"""Places of a price."""


@dataclass(frozen=True)
class Signs:
    """Characters that a chart is drawn with."""

    rising: str
    falling: str
    still: str
    wick: str
    axis: str
    corner: str
    line: str
    tick: str


UNICODE = Signs("┃", "█", "─", "│", "┤", "└", "─", "┴")

ASCII = Signs("#", "O", "-", "|", "|", "+", "-", "+")

STYLES = {"rising": "green", "falling": "red", "still": "default"}


@dataclass(frozen=True)
class Candle:
    """Prices of one column."""

    timestamp: Any
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @property
    def kind(self) -> str:
        """Whether it closed above its open, below, or at it."""
        if self.close == self.open:
            return "still"
        return "rising" if self.close > self.open else "falling"


@dataclass(frozen=True)
class Scale:
    """Prices to rows; row 0 is the highest price."""

    low: Decimal
    high: Decimal
    rows: int

    def row(self, price: Decimal) -> int:
        """The row that a price falls into."""
        if self.high == self.low:
            return self.rows // 2
        part = (self.high - price) / (self.high - self.low)
        return int((part * (self.rows - 1)).to_integral_value())

    def price(self, row: int) -> Decimal:
        """The price in the middle of a row."""
        return self.high - (self.high - self.low) * row / max(1, self.rows - 1)


def candles(rows: pa.Table, width: int, height: int, *, unicode: bool = True) -> Text:
    """Draw bars, one chart below another for each symbol, exchange and currency.

    Parameters
    ----------
    rows
        Bars as the query `bars` gives them, ordered by symbol, exchange, currency and time. Those without prices are
        left empty.
    width, height
        Columns and rows of each chart, axes and title included.
    unicode
        False: with plain ASCII characters, for terminals that show no others.

    Returns
    -------
    Text
        Lines with colours; without bars a line that says so.
    """
    size = (max(width, MIN_WIDTH), max(height, MIN_HEIGHT))
    signs = UNICODE if unicode else ASCII
    charts = [_chart(title, bars, size, signs) for title, bars in _by_symbol(rows)]
    return Text("\n\n").join(charts) if charts else Text("no bars")


def _by_symbol(rows: pa.Table) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    names = ("symbol", "exchange", "currency", "timestamp", "open", "high", "low", "close")
    bars = rows.select(names).to_pylist()
    for (symbol, exchange, currency), group in groupby(
        bars, key=lambda bar: (bar["symbol"], bar["exchange"], bar["currency"])
    ):
        yield printable(f"{symbol} at {exchange}, {currency}"), list(group)


def _chart(title: str, bars: list[dict[str, Any]], size: tuple[int, int], signs: Signs) -> Text:
    priced = [bar for bar in bars if bar["open"] is not None]
    if not priced:
        return Text(f"{title}\nno prices")
    width, height = size
    scale = Scale(min(bar["low"] for bar in priced), max(bar["high"] for bar in priced), height - 3)
    labels = _labels(scale)
    margin = max(map(len, labels))
    columns = _columns(bars, max(1, width - margin - 3))
    lines = [_title(title, len(bars), len(columns))]
    for row, label in enumerate(labels):
        lines.append(_row(f"{label:>{margin}} {signs.axis} ", columns, scale, row, signs))
    lines += [Text(line) for line in _time_axis(columns, margin, signs)]
    return Text("\n").join(lines)


def _title(title: str, bars: int, columns: int) -> Text:
    each = -(-bars // columns)
    return Text(title if each == 1 else f"{title} ({each} bars in a column)", style="bold")


def _columns(bars: Sequence[dict[str, Any]], width: int) -> list[Candle | None]:
    """One candle for each bar, or for as many bars as it takes to fit; None where no bar has a price."""
    each = -(-len(bars) // width)
    return [_candle(bars[start : start + each]) for start in range(0, len(bars), each)]


def _candle(bars: Sequence[dict[str, Any]]) -> Candle | None:
    priced = [bar for bar in bars if bar["open"] is not None]
    if not priced:
        return None
    return Candle(
        bars[0]["timestamp"],
        priced[0]["open"],
        max(bar["high"] for bar in priced),
        min(bar["low"] for bar in priced),
        priced[-1]["close"],
    )


def _labels(scale: Scale) -> list[str]:
    """Text of the price axis, row by row; every few rows a price, with as many places as tell them apart."""
    shown = [row for row in range(scale.rows) if row % LABEL_EVERY == 0 or row == scale.rows - 1]
    prices = {row: scale.price(row).quantize(PLACES) for row in shown}
    step = (scale.high - scale.low) * LABEL_EVERY / max(1, scale.rows - 1)
    enough = 8 if step == 0 else max(0, 1 - step.adjusted())
    places = min(enough, max(map(_places, prices.values())))
    return [f"{prices[row]:.{places}f}" if row in prices else "" for row in range(scale.rows)]


def _places(price: Decimal) -> int:
    """Digits after the point, without zeros at the end."""
    return len(f"{price:f}".partition(".")[2].rstrip("0"))


def _row(margin: str, columns: Sequence[Candle | None], scale: Scale, row: int, signs: Signs) -> Text:
    line = Text(margin)
    for candle in columns:
        sign, style = _sign(candle, scale, row, signs)
        line.append(sign, style)
    line.rstrip()
    return line


def _sign(candle: Candle | None, scale: Scale, row: int, signs: Signs) -> tuple[str, str]:
    """What a candle shows in one row."""
    if candle is None or not scale.row(candle.high) <= row <= scale.row(candle.low):
        return " ", ""
    kind = candle.kind
    top, bottom = sorted((scale.row(candle.open), scale.row(candle.close)))
    body = {"rising": signs.rising, "falling": signs.falling, "still": signs.still}[kind]
    return (body if top <= row <= bottom else signs.wick), STYLES[kind]


def _time_axis(columns: Sequence[Candle | None], margin: int, signs: Signs) -> list[str]:
    """A line with ticks, and the times below them."""
    places = [place for place in range(0, len(columns), TIME_WIDTH) if columns[place] is not None]
    line = "".join(signs.tick if place in places else signs.line for place in range(len(columns)))
    times = ""
    for place in places:
        candle = columns[place]
        times = times.ljust(place) + ("" if candle is None else f"{candle.timestamp:%d %b %H:%M}")
    indent = " " * (margin + 1)
    return [f"{indent}{signs.corner}{signs.line}{line}", f"{indent}  {times} UTC"]
