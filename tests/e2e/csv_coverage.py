"""What K2 must say of what is there and what is missing, worked out from the rows of CSV files.

Answers are lists of rows as HTTP shows them, decimals as Decimal, times as datetime, dates as date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from tests.e2e.csv_market import MARKETS, Market, Opened, Row
from tests.e2e.csv_rows import Asked, by, grouped, in_scope, only_scope, retracted, rows, visible

DAY = dt.timedelta(days=1)

FRIDAY = 5
"""ISO number."""

CONTIGUOUS = {("asx", "trades"), ("asx", "quotes"), ("binance", "trades")}
"""Where each symbol counts one by one."""


def ranges(market: Market, asked: Asked) -> list[Row]:
    """First and last times by table and symbol."""
    found = []
    for table in (asked["data_type"],) if asked.get("data_type") else ("trades", "quotes"):
        for key, own in grouped(
            rows(market, table, only_scope(asked)), ("symbol", "exchange", "asset_class")
        ):
            times = [row["timestamp"] for row in own]
            ends = {"first_timestamp": min(times), "last_timestamp": max(times), "rows": len(own)}
            found.append(
                {"table": table, **dict(zip(("symbol", "exchange", "asset_class"), key, strict=True)), **ends}
            )
    return found


def completeness(market: Market, asked: Asked) -> list[Row]:
    """What is there of each trading date, and what is missing."""
    data_type = asked["data_type"]
    wanted = in_scope({name: asked.get(name) for name in ("symbol", "exchange")})
    found = []
    for (symbol, exchange), own in grouped(filter(wanted, market.rows[data_type]), ("symbol", "exchange")):
        numbers = _numbers(exchange, data_type, own)
        by_date = dict(by(own, lambda row: row["trading_date"]))
        for date in _dates(exchange, by_date):
            gaps = [gap for gap in market.gaps if _is_of(gap, symbol, exchange, data_type, date)]
            found.append(
                _completeness(symbol, exchange, data_type, date, by_date.get(date, []), gaps) | numbers(date)
            )
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
    kept = [date for date, own in by_date.items() if not all(row["is_retracted"] for row in own)]
    between = [min(kept) + n * DAY for n in range((max(kept) - min(kept)).days + 1)] if kept else []
    sessions = [date for date in between if exchange == "binance" or date.isoweekday() <= FRIDAY]
    return sorted({*by_date, *sessions})


def _completeness(
    symbol: str, exchange: str, data_type: str, date: dt.date, own: list[Row], gaps: list[Opened]
) -> Row:
    shown = visible(own)
    flags = [row["sequence_flag"] for row in own if not row["is_retracted"]]
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
        "retracted_hidden": retracted(own),
    }


def _numbers(exchange: str, data_type: str, own: list[Row]) -> Callable[[dt.date], Row]:
    """Numbers expected, seen and missing of each date."""
    if (exchange, data_type) not in CONTIGUOUS:
        return lambda _: dict.fromkeys(("expected", "seen", "missing"))
    numbered = [row for row in own if row["sequence"] is not None]
    spans: dict[dt.date, list[tuple[int, int]]] = {}
    scope = "trading_date" if exchange == "asx" else "exchange"
    for _, group in grouped(numbered, (scope, "epoch")):
        seen = {row["sequence"] for row in group if not row["is_retracted"]}
        lowest = min(row["sequence"] for row in group)
        reached = min(lowest, 1) - 1 if exchange == "asx" else lowest - 1
        for date, day in by(group, lambda row: row["trading_date"]):
            highest = max(reached, *(row["sequence"] for row in day))
            counted = (highest - reached, sum(reached < n <= highest for n in seen))
            spans.setdefault(date, []).append(counted)
            reached = highest

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
