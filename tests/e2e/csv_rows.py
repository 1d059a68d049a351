"""What K2 must answer about rows, worked out from those of CSV files: slow and obvious.

Answers are lists of rows as HTTP shows them, decimals as Decimal, times as datetime, dates as date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from tests.e2e.csv_market import AMOUNTS, Market, Row, total_order

Asked = dict[str, Any]

MICROSECOND = dt.timedelta(microseconds=1)


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
    """Rows that are no copies and not retracted, in the total order."""
    return sorted((row for row in rows if not row["is_copy"] and not row["is_retracted"]), key=total_order)


def only_scope(asked: Asked) -> Asked:
    """The question without what narrows its scope further."""
    return {name: asked.get(name) for name in ("symbol", "exchange", "start", "end")}


def rows(market: Market, data_type: str, asked: Asked) -> list[Row]:
    """Trades or quotes."""
    wanted = in_scope(asked)
    found = [row for row in market.rows[data_type] if wanted(row) and _fits(data_type, row, asked)]
    if asked.get("include_duplicates"):
        shown = sorted((row for row in found if not row["is_retracted"]), key=total_order)
    else:
        shown = visible(found)
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


def hidden(market: Market, data_type: str, asked: Asked) -> dict[str, int]:
    """What is said of rows of the question's range that are left out."""
    wanted = in_scope(asked)
    found = [row for row in market.rows[data_type] if wanted(row) and _fits(data_type, row, asked)]
    told = [row for row in found if asked.get("include_duplicates") or row["sequence_flag"] != "duplicate"]
    said = {
        "duplicates_hidden": 0 if asked.get("include_duplicates") else copies(found),
        "retracted_hidden": sum(row["is_retracted"] for row in told),
    }
    return {code: count for code, count in said.items() if count}


def copies(rows: list[Row]) -> int:
    """How many are hidden as copies."""
    return sum(row["is_copy"] and not row["is_retracted"] for row in rows)


def retracted(rows: list[Row]) -> int:
    """How many are hidden because their load is retracted."""
    return sum(row["is_retracted"] and row["sequence_flag"] != "duplicate" for row in rows)


TRADE = (
    "timestamp",
    "symbol",
    "exchange",
    "price",
    "quantity",
    "side",
    "conditions",
    "sequence",
    "sequence_flag",
)


def taq(market: Market, asked: Asked) -> list[Row]:
    """Trades with the quote that prevailed."""
    scope = {**only_scope(asked), "order": asked.get("order")}
    books = dict(grouped(visible(market.rows["quotes"]), ("symbol", "exchange")))
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


def replay(market: Market, asked: Asked) -> list[Row]:
    """Quotes and trades as they happened; at one microsecond the book stands before the print."""
    wanted = [asked["data_type"]] if asked.get("data_type") in AMOUNTS else ["quotes", "trades"]
    scope = {**only_scope(asked), "include_duplicates": asked.get("include_duplicates")}
    every = [{"record": table, **row} for table in wanted for row in rows(market, table, scope)]
    return sorted(every, key=lambda row: (row["timestamp"], row["record"], total_order(row)))


def by(items: Iterable[Row], key: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    """Items by key, in order of keys; within each in their own order."""
    ordered = sorted(items, key=key)
    return [(value, list(group)) for value, group in groupby(ordered, key=key)]


def grouped(items: Iterable[Row], names: tuple[str, ...]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """Items by these columns, as `by`."""
    return by(items, lambda row: tuple(row[name] for name in names))
