"""Bars and summaries that K2 must answer, worked out from the rows of CSV files: slow and obvious.

Answers are lists of rows as HTTP shows them, decimals as Decimal, times as datetime, dates as date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from tests.e2e.csv_market import ZONES, Market, Row, is_off_market
from tests.e2e.csv_rows import (
    MICROSECOND,
    Asked,
    copies,
    grouped,
    in_scope,
    only_scope,
    retracted,
    rows,
    visible,
)

DAY = dt.timedelta(days=1)

UNITS = {"s": dt.timedelta(seconds=1), "m": dt.timedelta(minutes=1), "h": dt.timedelta(hours=1)}
UNITS |= {"d": DAY, "w": 7 * DAY}


def bars(market: Market, asked: Asked) -> list[Row]:
    """Bars of any interval, filled as asked."""
    trades = [row for row in rows(market, "trades", only_scope(asked)) if not _left_out(row, asked)]
    found = []
    for key, own in grouped(trades, ("symbol", "exchange", "currency")):
        clock = Clock(key[1], asked["interval"], asked["align"])
        started = [{**row, "start": clock.floor(row["timestamp"])} for row in own]
        by_start = {start: _bar(group) for (start,), group in grouped(started, ("start",))}
        if asked["fill"] != "none":
            by_start = _filled(by_start, clock, asked)
        named = dict(zip(("symbol", "exchange", "currency"), key, strict=True))
        found += [{"timestamp": start, **named, **bar} for start, bar in sorted(by_start.items())]
    return found


def _left_out(row: Row, asked: Asked) -> bool:
    if asked.get("all_conditions"):
        return False
    if asked.get("exclude_conditions"):
        return bool(set(asked["exclude_conditions"]) & set(row["conditions"]))
    return is_off_market(row)


class Clock:
    """When bars of an exchange begin."""

    def __init__(self, exchange: str, interval: str, align: str) -> None:
        self.length = int(interval[:-1]) * UNITS[interval[-1]]
        self.zone: dt.tzinfo = ZONES[exchange] if align == "session" else dt.UTC
        self.whole_days = align == "session" and not self.length % DAY
        self.first = dt.date(1970, 1, 5 if interval.endswith("w") else 1)
        self.align = align

    def floor(self, time: dt.datetime) -> dt.datetime:
        """Start of the interval that a time lies in."""
        if self.align == "utc":
            first = self._opening(self.first)
            return first + (time - first) // self.length * self.length
        date = time.astimezone(self.zone).date()
        if self.whole_days:
            return self._opening(date - (date - self.first) % self.length)
        return self._opening(date) + (time - self._opening(date)) // self.length * self.length

    def starts(self, begin: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
        """Start of each interval that has a part in [begin, end)."""
        start = self.floor(begin)
        while start < end:
            yield start
            start = self._after(start)

    def _after(self, start: dt.datetime) -> dt.datetime:
        if self.align == "utc":
            return start + self.length
        date = start.astimezone(self.zone).date()
        if self.whole_days:
            return self._opening(date + self.length)
        return min(start + self.length, self._opening(date + DAY))

    def _opening(self, date: dt.date) -> dt.datetime:
        return dt.datetime.combine(date, dt.time(), self.zone).astimezone(dt.UTC)


def _filled(found: dict[dt.datetime, Row], clock: Clock, asked: Asked) -> dict[dt.datetime, Row]:
    begin = asked.get("start") or min(found)
    end = asked.get("end") or max(found) + MICROSECOND
    full: dict[dt.datetime, Row] = {}
    close = None
    for start in clock.starts(begin, end):
        price = close if asked["fill"] == "previous" else None
        full[start] = found.get(start) or {
            **_bar([]),
            **dict.fromkeys(("open", "high", "low", "close"), price),
        }
        close = full[start]["close"] if start in found else close
    assert found.keys() <= full.keys()
    return full


def _bar(trades: list[Row]) -> Row:
    """One bar of trades in the total order."""
    prices = [row["price"] for row in trades]
    volume, notional, vwap = _sums(trades)
    times = [row["timestamp"] for row in trades]
    return {
        "open": prices[0] if prices else None,
        "high": max(prices, default=None),
        "low": min(prices, default=None),
        "close": prices[-1] if prices else None,
        "volume": volume,
        "vwap": vwap,
        "trades": len(trades),
        "notional": notional,
        "first_timestamp": min(times, default=None),
        "last_timestamp": max(times, default=None),
    }


def _sums(trades: list[Row]) -> tuple[Decimal, Decimal, Decimal | None]:
    with localcontext(prec=200):
        volume = sum((row["quantity"] for row in trades), Decimal(0))
        notional = sum((row["price"] * row["quantity"] for row in trades), Decimal(0))
        vwap = (notional / volume).quantize(Decimal("1e-8"), ROUND_HALF_EVEN) if volume else None
    return volume, notional, vwap


SUMMED = ("symbol", "exchange", "asset_class", "currency", "trading_date")


def summaries(market: Market, start: dt.date, end: dt.date, asked: Asked) -> list[Row]:
    """Every trading date in [start, end) of each symbol."""
    wanted = in_scope(asked)
    trades = [row for row in market.rows["trades"] if wanted(row) and start <= row["trading_date"] < end]
    return [
        {**dict(zip(SUMMED, key, strict=True)), **_day(market, key, own)}
        for key, own in grouped(trades, SUMMED)
        if visible(own)
    ]


def _day(market: Market, key: tuple[Any, ...], own: list[Row]) -> Row:
    shown = visible(own)
    off = [row for row in shown if is_off_market(row)]
    bar = _bar([row for row in shown if not is_off_market(row)])
    gaps = [gap for gap in market.gaps if (gap.symbol, gap.exchange, gap.day) == (key[0], key[1], key[4])]
    return bar | {
        "off_market_volume": _sums(off)[0],
        "off_market_trades": len(off),
        "first_timestamp": min(row["timestamp"] for row in shown),
        "last_timestamp": max(row["timestamp"] for row in shown),
        "open_gaps": sum(
            len(gap.left()) for gap in gaps if gap.data_type == "trades" and gap.outcome == "open"
        ),
        "duplicates_hidden": copies(own),
        "retracted_hidden": retracted(own),
    }
