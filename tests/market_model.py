"""Small random markets, and slow obvious models of what queries make of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import strategies as st

from k2app.lake.catalog import load
from k2app.lake.ledger import append_if
from k2app.lake.tables import SPECS, Name
from tests.query_lake import LOG, trade

EXCHANGES_TOML = """
[cme]
asset_class = "futures"
time_zone = "America/Chicago"
session_start = "17:00"
currency = "USD"
partitions = 1
off_market = { conditions = ["B"] }
[cme.sequences]
trades = { kind = "none" }
quotes = { kind = "none" }
"""
"""A futures exchange: its sessions start the evening before."""

SESSIONS = {
    "asx": (ZoneInfo("Australia/Sydney"), time(0, 0), False),
    "cme": (ZoneInfo("America/Chicago"), time(17, 0), True),
    "unheard-of": (ZoneInfo("UTC"), time(0, 0), False),
}
"""Zone, session start, whether it starts the evening before."""

EDGES = [
    datetime(2026, 3, 8, 7, 59, 58, tzinfo=UTC),  # Chicago's clocks go forward two seconds later
    datetime(2026, 3, 8, 22, 0, tzinfo=UTC),  # its session starts, an hour earlier than the day before
    datetime(2026, 4, 4, 13, 0, tzinfo=UTC),  # midnight in Sydney, before the long night
    datetime(2026, 4, 4, 15, 59, 59, tzinfo=UTC),  # its clocks go back one second later
    datetime(2026, 4, 5, 14, 0, tzinfo=UTC),  # its midnight after it
    datetime(2026, 4, 6, 0, 0, tzinfo=UTC),  # Monday
]

PRICES = st.integers(-(10**12), 10**17).map(lambda units: Decimal(units).scaleb(-8))
QUANTITIES = st.integers(0, 10**16).map(lambda units: Decimal(units).scaleb(-8))

PRINTS = st.fixed_dictionaries(
    {
        "edge": st.sampled_from(EDGES),
        "after_us": st.sampled_from([-1, 0, 0, 1, 999_999, 1_000_000, 61_000_000, 3_700_000_000]),
        "symbol": st.sampled_from(["A", "B"]),
        "exchange": st.sampled_from(list(SESSIONS)),
        "currency": st.sampled_from(["AUD", "AUD", "USD"]),
        "price": PRICES,
        "quantity": QUANTITIES,
        "sequence": st.none() | st.integers(-3, 3),
        "conditions": st.sampled_from([[], [], ["1"], ["B"], ["5", "B"]]),
        "attributes": st.sampled_from([None, [], [("venue", "X")], [("venue", "A")]]),
        "load": st.sampled_from([None, "kept", "gone"]),
        "copies": st.lists(st.sampled_from(["kept", "gone"]), max_size=2),
    }
)
"""One trade, and copies of it that later loads brought."""


def market(prints, prefix, make=trade):
    """Rows of a table; `prefix` makes the symbols and the loads this market's own."""
    rows = []
    for print_ in prints:
        kept = {
            name: value
            for name, value in print_.items()
            if name not in {"edge", "after_us", "load", "copies"}
        }
        kept |= {
            "symbol": prefix + print_["symbol"],
            "timestamp": print_["edge"] + timedelta(microseconds=print_["after_us"]),
        }
        rows.append(make(len(rows), **kept, load_id=_load(prefix, print_["load"])))
        if print_["sequence"] is not None:
            for copy in print_["copies"]:
                rows.append(make(len(rows), **kept, load_id=_load(prefix, copy), sequence_flag="duplicate"))
    return rows


def _load(prefix, name):
    return None if name is None else f"{prefix}{name}"


def retract(catalog, settings, load_id, data_type):
    """Record in the ledger that a load is retracted."""
    row = {
        "load_id": load_id, "state": "retracted", "file": "f.csv", "file_sha256": "00" * 32,
        "recorded_at": datetime.now(UTC), "file_bytes": 1, "exchange": "asx", "data_type": data_type,
        "profile": "k2", "sequence_mode": "source", "symbol": None, "rows": 1, "rejects": 0,
        "rejects_file": None, "numbers": [], "sent": [], "log_id": LOG, "reason": None,
    }  # fmt: skip
    table = load(catalog, settings, Name.LOADS)
    current = table.current_snapshot()
    rows = pa.Table.from_pylist([row], schema=SPECS[Name.LOADS].arrow_schema)
    append_if(table, rows, None if current is None else current.snapshot_id)


@dataclass
class Shown:
    """Rows that a query shows, and how many it hides."""

    rows: list
    duplicates: int
    retracted: int


def shown(rows, gone):
    """Rows without copies and retracted ones; `gone` is the retracted load, or None."""
    groups = {}
    for row in rows:
        groups.setdefault(content(row), []).append(row)
    visible = [row for group in groups.values() for row in _visible(group, gone)]
    ids = {row["offset"] for row in visible}
    hidden = [row for row in rows if row["offset"] not in ids]
    return Shown(
        sorted(visible, key=total_order),
        sum(row["load_id"] != gone or gone is None for row in hidden),
        sum(
            row["load_id"] == gone and row["sequence_flag"] != "duplicate"
            for row in hidden
            if gone is not None
        ),
    )


def _visible(group, gone):
    left = [row for row in group if gone is None or row["load_id"] != gone]
    originals = [row for row in left if row["sequence_flag"] != "duplicate"]
    if originals or len(left) == len(group):
        return originals
    return left[:1]


def content(row):
    """What a record says."""
    skipped = {"load_id", "sequence_flag", "offset", "ingested_at", "committed_at"}
    return repr([(name, value) for name, value in sorted(row.items()) if name not in skipped])


def total_order(row):
    return (row["timestamp"], row["sequence"] is not None, row["sequence"] or 0, row["offset"])


def interval_start(when, exchange, length, weekly, align):
    """Start of the interval that a time lies in, by the calendar."""
    if align == "utc":
        monday = datetime(1970, 1, 5 if weekly else 1, tzinfo=UTC)
        return monday + (when - monday) // length * length
    zone, begins, evening_before = SESSIONS[exchange]
    date = trading_date(when, exchange)
    if length % timedelta(days=1):
        opened = _opened(date, zone, begins, evening_before)
        return opened + (when - opened) // length * length
    first = datetime(1970, 1, 5 if weekly else 1).date()  # noqa: DTZ001 - a calendar date
    return _opened(date - (date - first) % length, zone, begins, evening_before)


def trading_date(when, exchange):
    """Trading date of a time."""
    zone, begins, evening_before = SESSIONS[exchange]
    local = when.astimezone(zone)
    day = timedelta(days=1)
    if evening_before:
        return local.date() + day if local.time() >= begins else local.date()
    return local.date() if local.time() >= begins else local.date() - day


def _opened(date, zone, begins, evening_before):
    day = date - timedelta(days=1) if evening_before else date
    return datetime.combine(day, begins, zone).astimezone(UTC)


def is_left_out(row):
    """The rules of the exchanges above."""
    conditions = set(row["conditions"])
    if row["exchange"] == "asx":
        return bool(conditions & {"1", "3", "9"}) or ("venue", "X") in (row["attributes"] or [])
    return row["exchange"] == "cme" and "B" in conditions


def bar(rows):
    """One bar of rows in total order."""
    with localcontext(prec=200):
        volume = sum((row["quantity"] for row in rows), Decimal(0))
        notional = sum((row["price"] * row["quantity"] for row in rows), Decimal(0))
        vwap = (notional / volume).quantize(Decimal("1e-8"), ROUND_HALF_EVEN) if volume else None
    prices = [row["price"] for row in rows]
    return {
        "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1],
        "volume": volume, "vwap": vwap, "trades": len(rows), "notional": notional,
        "first_timestamp": rows[0]["timestamp"], "last_timestamp": rows[-1]["timestamp"],
    }  # fmt: skip
