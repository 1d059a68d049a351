"""What is asked of K2, ArcticDB and chDB alike. Needs nothing but Python: it is read in two environments."""

from __future__ import annotations

from typing import NamedTuple

SYMBOL = "S042"

SYMBOLS = [f"S{n:03d}" for n in range(100)]

MONDAY_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z, when the lake begins; it ends after five days."""

HOUR_US = 3_600_000_000

DAY_US = 24 * HOUR_US

START_US, END_US = MONDAY_US + 2 * DAY_US + HOUR_US, MONDAY_US + 2 * DAY_US + 4 * HOUR_US
"""Of the point query: three hours of Wednesday."""

TAQ_START_US, TAQ_END_US = MONDAY_US + 2 * DAY_US, MONDAY_US + 3 * DAY_US
"""Of the as-of join: Wednesday."""

POINT_ROWS = 1_000

SHARED = ("symbol", "timestamp", "sequence", "partition", "offset")

COLUMNS = {
    "trades": (*SHARED, "price", "quantity", "side", "trade_id"),
    "quotes": (*SHARED, "bid_price", "bid_quantity", "ask_price", "ask_quantity"),
}
"""Columns that all three have and hand out."""

AMOUNTS = ("price", "quantity", "bid_price", "bid_quantity", "ask_price", "ask_quantity")

TURNS = {"point": 31, "bars, one symbol": 31, "bars, all symbols": 7, "taq": 15}
"""How often each question is asked of each."""


class Sum(NamedTuple):
    """What answers are compared by.

    Parameters
    ----------
    rows
        How many.
    volume
        Sum of their quantities or volumes, which are whole numbers.
    """

    rows: int
    volume: int
