"""What the rows of a stream say: times, prices and quantities, as integers and as the text of the file."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from venues import ASX_SYMBOLS, CLOSED, CLOSING, CONTINUOUS, OFF_MARKET, OPENING, PREOPEN, Symbol, at_us

Ints = npt.NDArray[np.int64]

AUCTION_TRADES = 3
"""Trades of an auction: one timestamp, different prices, so that only the sequence orders them."""

STAGGER_US = 25_000_000
"""Microseconds between the opening auctions of two ASX symbols, as the venue opens in groups."""


@dataclass(frozen=True)
class Content:
    """The rows of one stream, one entry per slot, in sequence order.

    Parameters
    ----------
    time_us
        Event time, microseconds since 1970 UTC, never falling.
    lines
        Text of the row.
    price, quantity
        Trades: units of the symbol's places. Quotes: empty.
    off_market
        Trades that belong in no bar. Quotes: empty.
    """

    time_us: Ints
    lines: list[str]
    price: Ints
    quantity: Ints
    off_market: npt.NDArray[np.bool_]


def spread_times(rng: np.random.Generator, slots: int, start_us: int, end_us: int) -> Ints:
    """Times in [start, end), busier at both ends; about one in twelve equals the one before."""
    times = np.sort(start_us + (rng.beta(0.7, 0.7, slots) * (end_us - start_us - 1)).astype(np.int64))
    tied = rng.random(slots) < 1 / 12
    tied[0] = False
    return np.maximum.accumulate(np.where(tied, 0, times))


def asx_trade_times(rng: np.random.Generator, slots: int, day: dt.date, symbol: Symbol, first: int) -> Ints:
    """Times of one symbol's day: slots up to `first` before the open, then both auctions and between them."""
    times = spread_times(rng, slots, at_us(day, CONTINUOUS), at_us(day, CLOSED))
    times[: first + 1] = at_us(day, PREOPEN)
    times[first + 1 : first + 1 + AUCTION_TRADES] = (
        at_us(day, OPENING) + ASX_SYMBOLS.index(symbol) * STAGGER_US
    )
    times[-AUCTION_TRADES:] = at_us(day, CLOSING)
    return times


def walk(rng: np.random.Generator, slots: int, symbol: Symbol) -> Ints:
    """Prices in units of the symbol's places: a walk by ticks from near the symbol's price, never below a tick."""
    steps = np.cumsum(rng.integers(-1, 2, slots)) + rng.integers(-20, 21)
    prices: Ints = np.maximum(symbol.price + steps * symbol.tick, symbol.tick)
    return prices


def asx_trades(rng: np.random.Generator, symbol: Symbol, day: dt.date, sequence: Ints, first: int) -> Content:
    """Trades of one symbol and trading date; what stands before the open is off-market, at thrice the price."""
    slots = len(sequence)
    times, price = asx_trade_times(rng, slots, day, symbol, first), walk(rng, slots, symbol)
    fan = np.array([0, 2, -1]) * symbol.tick
    price[first + 1 : first + 1 + AUCTION_TRADES] = price[first + 1] + fan
    price[-AUCTION_TRADES:] = price[-1] - fan
    price = np.maximum(price, symbol.tick)
    off = rng.random(slots) < 1 / 100
    off[first + 1 : first + 1 + AUCTION_TRADES] = off[-AUCTION_TRADES:] = False
    off[: first + 1] = True
    price = np.where(off, price * rng.choice([3, 7], slots) // 5, price)
    price[: first + 1] *= 3
    return _trades(
        rng, symbol, (times, price, sequence), off=off, qualifiers=_qualifiers(rng, off), ids=f"{day:%y%m%d}"
    )


def _qualifiers(rng: np.random.Generator, off: npt.NDArray[np.bool_]) -> list[str]:
    """Conditions: off-market ones where `off`; else usually none, and never an off-market one."""
    away = rng.choice([*OFF_MARKET, "3;10"], len(off)).tolist()
    usual = rng.choice(["", "10", "25;26"], len(off), p=[0.96, 0.03, 0.01]).tolist()
    return [a if is_off else u for a, u, is_off in zip(away, usual, off.tolist(), strict=True)]


def binance_trades(rng: np.random.Generator, symbol: Symbol, time_us: Ints, sequence: Ints) -> Content:
    """Trades of the continuous venue: no conditions; the trade id is the sequence."""
    slots = len(sequence)
    columns = (time_us, walk(rng, slots, symbol), sequence)
    return _trades(
        rng, symbol, columns, off=np.zeros(slots, np.bool_), qualifiers=[""] * slots, ids=symbol.name
    )


def _trades(
    rng: np.random.Generator,
    symbol: Symbol,
    columns: tuple[Ints, Ints, Ints],
    *,
    off: npt.NDArray[np.bool_],
    qualifiers: list[str],
    ids: str,
) -> Content:
    """Texts of trades; `columns` are time, price and sequence."""
    times, price, sequence = columns
    quantity = rng.integers(1, symbol.quantity, len(times))
    side = rng.choice(
        ["BUY", "SELL", "SELL_SHORT", "UNKNOWN"], len(times), p=[0.47, 0.45, 0.05, 0.03]
    ).tolist()
    texts = zip(
        iso(times),
        written(price, symbol.price_places),
        written(quantity, symbol.quantity_places),
        side,
        qualifiers,
        sequence.tolist(),
        strict=True,
    )
    name = symbol.name
    lines = [f"{name},{t}Z,{p},{q},{s},{ids}-{n},{c},{n}" for t, p, q, s, c, n in texts]
    return Content(times, lines, price, quantity, off)


def quotes(rng: np.random.Generator, symbol: Symbol, time_us: Ints, sequence: Ints) -> Content:
    """Quotes; in about one of fifty a side of the book is empty."""
    slots = len(sequence)
    bid = walk(rng, slots, symbol)
    ask = bid + rng.integers(1, 4, slots) * symbol.tick
    sides = rng.random(slots)
    bids = _sides(rng, symbol, bid, sides < 1 / 100)
    asks = _sides(rng, symbol, ask, sides > 99 / 100)
    conditions = rng.choice(["", "25", "25;26"], slots, p=[0.99, 0.005, 0.005]).tolist()
    texts = zip(iso(time_us), bids, asks, conditions, sequence.tolist(), strict=True)
    name, none = symbol.name, np.empty(0, np.int64)
    lines = [f"{name},{t}Z,{b},{a},{c},{n}" for t, b, a, c, n in texts]
    return Content(time_us, lines, none, none, np.empty(0, np.bool_))


def _sides(rng: np.random.Generator, symbol: Symbol, price: Ints, empty: npt.NDArray[np.bool_]) -> list[str]:
    """`price,quantity` per quote, or `,` where the side is empty."""
    quantity = written(rng.integers(1, symbol.quantity, len(price)), symbol.quantity_places)
    both = zip(written(price, symbol.price_places), quantity, empty.tolist(), strict=True)
    return ["," if is_empty else f"{p},{q}" for p, q, is_empty in both]


def iso(time_us: Ints) -> list[str]:
    """ISO 8601 with microseconds, without the zone."""
    texts: list[str] = np.datetime_as_string(time_us.astype("datetime64[us]"), unit="us").tolist()
    return texts


def written(units: Ints, places: int) -> list[str]:
    """Decimals as a venue writes them: all places, but every third without its trailing zeros."""
    if places == 0:
        return [str(u) for u in units.tolist()]
    scale = 10**places
    full = [f"{u // scale}.{u % scale:0{places}d}" for u in units.tolist()]
    return [text if n % 3 else text.rstrip("0").rstrip(".") for n, text in enumerate(full)]
