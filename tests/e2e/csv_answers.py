"""What K2 must answer to a question, worked out from the rows of CSV files: slow and obvious.

Answers are lists of rows as HTTP shows them, decimals as Decimal, times as datetime, dates as date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import groupby
from typing import Any

from tests.e2e.csv_market import (
    AMOUNTS,
    MARKETS,
    ZONES,
    Market,
    Opened,
    Row,
    is_off_market,
    total_order,
    trading_date,
)

Asked = dict[str, Any]

MICROSECOND = dt.timedelta(microseconds=1)

DAY = dt.timedelta(days=1)

UNITS = {"s": dt.timedelta(seconds=1), "m": dt.timedelta(minutes=1), "h": dt.timedelta(hours=1)}
UNITS |= {"d": DAY, "w": 7 * DAY}

CONTIGUOUS = {("asx", "trades"), ("asx", "quotes"), ("binance", "trades")}
"""Where each symbol counts one by one."""


def in_scope(asked: Asked) -> Callable[[Row], bool]:
    """Whether a row is of the symbols, exchange and range that are asked for."""
    symbols, exchange = asked.get("symbol") or (), asked.get("exchange")
    start, end = asked.get("start"), asked.get("end")
    return lambda row: (
        (not symbols or row["symbol"] in symbols)
        and exchange in (None, row["exchange"])
        and (start is None or row["timestamp"] >= start)
        and (end is None or row["timestamp"] < end)
    )


def visible(rows: Iterable[Row]) -> list[Row]:
    """Rows that are no duplicates, in the total order."""
    return sorted((row for row in rows if row["sequence_flag"] != "duplicate"), key=total_order)


# --- rows


def rows(market: Market, data_type: str, asked: Asked) -> list[Row]:
    """Trades or quotes."""
    wanted = in_scope(asked)
    found = [row for row in market.rows[data_type] if wanted(row) and _fits(data_type, row, asked)]
    shown = sorted(found, key=total_order) if asked.get("include_duplicates") else visible(found)
    return shown[::-1] if asked.get("order") == "desc" else shown


def _fits(data_type: str, row: Row, asked: Asked) -> bool:
    """Conditions and bounds; a missing side of a quote is within any."""
    conditions = asked.get("conditions")
    if conditions and not set(conditions) & set(row["conditions"]):
        return False
    for name in AMOUNTS[data_type]:
        kind = name.removeprefix("bid_").removeprefix("ask_")
        low, high = asked.get(f"min_{kind}"), asked.get(f"max_{kind}")
        value = row[name]
        if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
            return False
    return True


def hidden(market: Market, data_type: str, asked: Asked) -> int:
    """Duplicates of the question's range that are left out."""
    wanted = in_scope(asked)
    return sum(
        row["sequence_flag"] == "duplicate" and wanted(row) and _fits(data_type, row, asked)
        for row in market.rows[data_type]
    )


# --- bars and summaries


def bars(market: Market, asked: Asked) -> list[Row]:
    """Bars of any interval, filled as asked."""
    trades = [row for row in rows(market, "trades", _only_scope(asked)) if not _left_out(row, asked)]
    found = []
    for key, own in _grouped(trades, ("symbol", "exchange", "currency")):
        clock = Clock(key[1], asked["interval"], asked["align"])
        by_start = {start: _bar(group) for start, group in _by(own, lambda row: clock.floor(row["timestamp"]))}
        if asked["fill"] != "none":
            by_start = _filled(by_start, clock, asked)
        named = dict(zip(("symbol", "exchange", "currency"), key, strict=True))
        found += [{"timestamp": start, **named, **bar} for start, bar in sorted(by_start.items())]
    return found


def _only_scope(asked: Asked) -> Asked:
    return {name: asked.get(name) for name in ("symbol", "exchange", "start", "end")}


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
        full[start] = found.get(start) or {**_bar([]), **dict.fromkeys(("open", "high", "low", "close"), price)}
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
        {**dict(zip(SUMMED, key, strict=True)), **_day(market, key, own)} for key, own in _grouped(trades, SUMMED)
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
        "open_gaps": sum(len(gap.left()) for gap in gaps if gap.data_type == "trades" and gap.outcome == "open"),
        "duplicates_hidden": len(own) - len(shown),
        "retracted_hidden": 0,
    }


# --- trades with quotes


TRADE = ("timestamp", "symbol", "exchange", "price", "quantity", "side", "conditions", "sequence", "sequence_flag")


def taq(market: Market, asked: Asked) -> list[Row]:
    """Trades with the quote that prevailed."""
    scope = {**_only_scope(asked), "order": asked.get("order")}
    books = dict(_grouped(visible(market.rows["quotes"]), ("symbol", "exchange")))
    return [
        {name: trade[name] for name in TRADE} | _beside(trade, books, asked)
        for trade in rows(market, "trades", scope)
    ]


def _beside(trade: Row, books: dict[tuple[Any, ...], list[Row]], asked: Asked) -> Row:
    quote = _prevailing(trade, books.get((trade["symbol"], trade["exchange"]), []), asked)
    found: Row = {name: quote.get(name) for name in AMOUNTS["quotes"]}
    found |= dict.fromkeys(("quote_timestamp", "mid", "spread", "effective_spread", "quote_age_us"))
    if quote:
        found["quote_timestamp"] = quote["timestamp"]
        found["quote_age_us"] = (trade["timestamp"] - quote["timestamp"]) // MICROSECOND
    bid, ask = found["bid_price"], found["ask_price"]
    if bid is not None and ask is not None:
        found |= {"mid": (bid + ask) / 2, "spread": ask - bid}
        found["effective_spread"] = abs(2 * trade["price"] - bid - ask)
    return found


def _prevailing(trade: Row, book: list[Row], asked: Asked) -> Row:
    """The last quote before the trade; nothing where there is none, or none young enough."""
    last: Row = {}
    for quote in book:
        if quote["timestamp"] > trade["timestamp"]:
            break
        if quote["timestamp"] < trade["timestamp"] or asked.get("match", "at") == "at":
            last = quote
    age = asked.get("max_age")
    return {} if last and age is not None and trade["timestamp"] - last["timestamp"] > age else last


# --- what there is


def ranges(market: Market, asked: Asked) -> list[Row]:
    """First and last times by table and symbol."""
    found = []
    for table in (asked["data_type"],) if asked.get("data_type") else ("trades", "quotes"):
        for key, own in _grouped(rows(market, table, _only_scope(asked)), ("symbol", "exchange", "asset_class")):
            times = [row["timestamp"] for row in own]
            ends = {"first_timestamp": min(times), "last_timestamp": max(times), "rows": len(own)}
            found.append({"table": table, **dict(zip(("symbol", "exchange", "asset_class"), key, strict=True)), **ends})
    return found


def completeness(market: Market, asked: Asked) -> list[Row]:
    """What is there of each trading date, and what is missing."""
    data_type = asked["data_type"]
    wanted = in_scope({name: asked.get(name) for name in ("symbol", "exchange")})
    found = []
    for (symbol, exchange), own in _grouped(filter(wanted, market.rows[data_type]), ("symbol", "exchange")):
        numbers = _numbers(exchange, data_type, own)
        by_date = dict(_by(own, lambda row: row["trading_date"]))
        for date in _dates(exchange, by_date):
            gaps = [gap for gap in market.gaps if _is_of(gap, symbol, exchange, data_type, date)]
            found.append(_completeness(symbol, exchange, data_type, date, by_date.get(date, []), gaps) | numbers(date))
    for row in found:
        wrong = row["gaps_open"] or row["conflicts"] or row["missing"]
        row["state"] = "missing" if not row["rows"] else "degraded" if wrong else "available"
    start, end = asked.get("start_date"), asked.get("end_date")
    return [
        row
        for row in found
        if (start is None or row["trading_date"] >= start)
        and (end is None or row["trading_date"] < end)
        and asked.get("state") in (None, row["state"])
    ]


def _is_of(gap: Opened, *place: object) -> bool:
    return (gap.symbol, gap.exchange, gap.data_type, gap.day) == place


def _dates(exchange: str, by_date: dict[dt.date, list[Row]]) -> list[dt.date]:
    """Dates with rows, and those between them on which there may have been trading."""
    between = [min(by_date) + n * DAY for n in range((max(by_date) - min(by_date)).days + 1)]
    return [date for date in between if date in by_date or exchange == "binance" or date.isoweekday() <= 5]


def _completeness(
    symbol: str, exchange: str, data_type: str, date: dt.date, own: list[Row], gaps: list[Opened]
) -> Row:
    shown = visible(own)
    flags = [row["sequence_flag"] for row in own]
    outcomes = [gap.outcome for gap in gaps]
    return {
        "symbol": symbol,
        "exchange": exchange,
        "asset_class": MARKETS[exchange][0],
        "trading_date": date,
        "data_type": data_type,
        "rows": len(shown),
        "gaps_open": outcomes.count("open"),
        "gaps_filled": outcomes.count("filled"),
        "gaps_abandoned": outcomes.count("abandoned"),
        "duplicates": flags.count("duplicate"),
        "conflicts": flags.count("conflict"),
        "late": flags.count("late"),
        "unsequenced": sum(row["sequence"] is None for row in shown),
        "retracted_hidden": 0,
    }


def _numbers(exchange: str, data_type: str, own: list[Row]) -> Callable[[dt.date], Row]:
    """Numbers expected, seen and missing of each date."""
    if (exchange, data_type) not in CONTIGUOUS:
        return lambda _: dict.fromkeys(("expected", "seen", "missing"))
    numbered = [row for row in own if row["sequence"] is not None]
    spans: dict[dt.date, list[tuple[int, int]]] = {}
    for key, group in _by(numbered, lambda row: (row["trading_date"] if exchange == "asx" else None, row["epoch"])):
        seen = {row["sequence"] for row in group}
        reached = min(*seen, 1) - 1 if exchange == "asx" else min(seen) - 1
        for date, day in _by(group, lambda row: row["trading_date"]):
            highest = max(reached, *(row["sequence"] for row in day))
            counted = (highest - reached, sum(reached < n <= highest for n in seen))
            spans.setdefault(date, []).append(counted)
            reached = highest
        assert key is not None

    def of(date: dt.date) -> Row:
        if date not in spans:
            return dict.fromkeys(("expected", "seen", "missing"))
        expected, seen = (sum(each) for each in zip(*spans[date], strict=True))
        return {"expected": expected, "seen": seen, "missing": expected - seen}

    return of


def gaps(market: Market, asked: Asked) -> list[Row]:
    """What is still missing."""
    found = [
        {
            "exchange": gap.exchange,
            "data_type": gap.data_type,
            "symbol": gap.symbol,
            "trading_date": None if gap.scope is None else dt.date.fromisoformat(gap.scope),
            "epoch": gap.epoch,
            "from_sequence": first,
            "to_sequence": last,
            "missing": last - first + 1,
            "severity": "small" if last - first < 10 else "large",
            "state": "open",
            "timestamp": gap.timestamp,
        }
        for gap in market.gaps
        if gap.outcome == "open"
        for first, last in gap.left()
    ]
    wanted = in_scope(asked)
    first_date = dt.date.min
    return sorted(
        (row for row in found if wanted(row) and asked.get("data_type") in (None, row["data_type"])),
        key=lambda row: (
            *(row["exchange"], row["data_type"], row["symbol"], row["trading_date"] or first_date),
            *(row["epoch"], row["from_sequence"]),
        ),
    )


# --- replay


def replay(market: Market, asked: Asked) -> list[Row]:
    """Quotes and trades as they happened; at one microsecond the book stands before the print."""
    wanted = [asked["data_type"]] if asked.get("data_type") in AMOUNTS else ["quotes", "trades"]
    scope = {**_only_scope(asked), "include_duplicates": asked.get("include_duplicates")}
    every = [{"record": table, **row} for table in wanted for row in rows(market, table, scope)]
    return sorted(every, key=lambda row: (row["timestamp"], row["record"], total_order(row)))


# --- groups


def _by(items: Iterable[Row], key: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    """Items by key, in order of keys; within each in their own order."""
    ordered = sorted(items, key=key)
    return [(value, list(group)) for value, group in groupby(ordered, key=key)]


def _grouped(items: Iterable[Row], names: tuple[str, ...]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    return _by(items, lambda row: tuple(row[name] for name in names))


__all__ = ["bars", "completeness", "gaps", "hidden", "ranges", "replay", "rows", "summaries", "taq", "trading_date"]
