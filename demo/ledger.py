"""What a correct lakehouse must say of the generated market, as JSON-ready values.

Nothing here checks sequences: every number follows from the scripts by which the market was made.
Decimals are strings without trailing zeros; lines count from 1, the header being line 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from content import Ints
from files import File, Merged
from injections import FLAGS
from streams import RULES, Event, Stream
from venues import OFF_MARKET

SMALL_GAP = 10
"""Largest number of missing sequences of a gap that is called small."""

VWAP_PLACES = 8
"""Decimal places of a volume-weighted price, rounded half-even."""


def file_entry(file: File) -> dict[str, Any]:
    """Rows, rejects and verdicts of one file; the verdict of a good row not listed in `flags` is `ok`."""
    rejects = [{"line": line, "field": s.field, "kind": s.kind} for line, s in sorted(file.rejects.items())]
    return {
        "exchange": file.exchange,
        "data_type": file.data_type,
        "rows": len(file.lines),
        "good": len(file.lines) - len(rejects),
        "rejects": rejects,
        "flags": file.lines_by_flag(),
    }


def reference_entry(exchange: str, rows: int) -> dict[str, Any]:
    """Entry of a reference file: no sequences, no rejects."""
    kind = {"exchange": exchange, "data_type": "reference_data"}
    return {**kind, "rows": rows, "good": rows, "rejects": [], "flags": {}}


def verdicts(files: Sequence[File]) -> dict[str, int]:
    """Good rows by flag, over the files of one exchange and data type."""
    counts = np.bincount(np.concatenate([f.flag for f in files]), minlength=len(FLAGS))
    return {f: int(n) for f, n in zip(FLAGS, counts, strict=True) if n and f != "rejected"}


def gap_entries(streams: Sequence[Stream], merged: Merged) -> list[dict[str, Any]]:
    """One entry per stream under the contiguous rule: gap events in load order, gaps open at the end, epoch."""
    entries = []
    for stream, where in zip(streams, merged.where, strict=True):
        if RULES[stream.exchange, stream.data_type] != "contiguous":
            continue
        events = [_event(e, where, merged.files) for e in stream.events]
        entries.append(
            {
                "exchange": stream.exchange,
                "data_type": stream.data_type,
                "symbol": stream.symbol.name,
                "scope": stream.scope.isoformat() if stream.scope else None,
                "epoch": stream.epoch,
                "events": events,
                "open": [_range(lo, hi) for lo, hi in stream.leaves],
            }
        )
    return entries


def _range(first: int, last: int) -> dict[str, Any]:
    severity = "small" if last - first < SMALL_GAP else "large"
    return {"from": first, "to": last, "severity": severity}


def _event(event: Event, where: Ints, files: Sequence[File]) -> dict[str, Any]:
    """A gap event with the row that causes it; `epoch` and `severity` are those of the range named."""
    number, line = where[event.place].tolist()
    span = _range(event.first, event.last)
    return {"event": event.event, **span, "epoch": event.epoch, "file": files[number].name, "line": line}


def delivered(stream: Stream) -> Ints:
    """Slots that reach the lake at least once, in sequence order."""
    good = stream.plan.flag != FLAGS.index("rejected")
    slots: Ints = np.unique(stream.plan.slot[good])
    return slots


def day_entry(stream: Stream) -> dict[str, Any]:
    """One symbol's ASX trading date: the bar of its on-market trades, and what was left out.

    Open and close by (timestamp, sequence): slots are in that order, since times never fall with the sequence.
    """
    slots, told = delivered(stream), stream.content
    off = told.off_market[slots]
    on, away = slots[~off], slots[off]
    price, quantity = told.price[on], told.quantity[on]
    places, volume = stream.symbol.price_places, int(quantity.sum())
    notional = int((price * quantity).sum())
    return {
        "symbol": stream.symbol.name,
        "trading_date": str(stream.scope),
        "open": exact(int(price[0]), places),
        "high": exact(int(price.max()), places),
        "low": exact(int(price.min()), places),
        "close": exact(int(price[-1]), places),
        "volume": exact(volume, stream.symbol.quantity_places),
        "vwap": vwap(notional, volume, places),
        "trades": len(on),
        "off_market_trades": len(away),
        "off_market_volume": exact(int(told.quantity[away].sum()), stream.symbol.quantity_places),
    }


def vwap(notional: int, volume: int, places: int) -> str:
    """Notional over volume, rounded half-even to 8 places; notional in units of 10^-`places`."""
    units = round(Fraction(notional * 10**VWAP_PLACES, volume * 10**places))
    return exact(units, VWAP_PLACES)


def exact(units: int, places: int) -> str:
    """Decimal of units of 10^-places, without trailing zeros and without exponent."""
    text = f"{Decimal(units).scaleb(-places):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def market_entry(streams: Sequence[Stream], files: Sequence[File]) -> dict[str, Any]:
    """Totals of one exchange and data type; visible rows are the good ones that are not duplicates."""
    flags = verdicts(files)
    good = sum(flags.values())
    return {
        "rule": RULES[streams[0].exchange, streams[0].data_type],
        "rows": sum(len(f.lines) for f in files),
        "rejected": sum(len(f.rejects) for f in files),
        "good": good,
        "visible": good - flags.get("duplicate", 0),
        "flags": flags,
        "visible_by_symbol": _visible(streams),
    }


def _visible(streams: Sequence[Stream]) -> dict[str, int]:
    hidden = [FLAGS.index("duplicate"), FLAGS.index("rejected")]
    counts: Counter[str] = Counter()
    for stream in streams:
        counts[stream.symbol.name] += int((~np.isin(stream.plan.flag, hidden)).sum())
    return dict(counts)


def head() -> dict[str, Any]:
    """What a reader of the ledger must know first."""
    return {
        "profile": "k2",
        "exchanges": {
            "asx": {"time_zone": "Australia/Sydney", "scope": "trading_date", "first_sequence": 1},
            "binance": {"time_zone": "UTC", "scope": "continuous", "first_sequence": None},
        },
        "off_market_conditions": {"asx": list(OFF_MARKET), "binance": []},
    }
