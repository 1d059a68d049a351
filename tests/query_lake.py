"""Small lakes for query tests: rows as dictionaries, appended to real Iceberg tables."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa

from k2app.lake.catalog import load
from k2app.lake.tables import SPECS, Name
from k2app.query.times import EPOCH, MICROSECOND

DAY_US = 86_400_000_000
MONDAY_US = 1_767_571_200_000_000
"""2026-01-05T00:00:00Z."""

MONDAY = date(2026, 1, 5)

LOG = "0f5b2c1e-0000-4000-8000-000000000001"

SHELL = {
    "exchange": "asx",
    "asset_class": "equities",
    "currency": "AUD",
    "conditions": [],
    "sequence": None,
    "load_id": None,
    "source_line": None,
    "attributes": None,
    "sequence_flag": "ok",
    "epoch": 0,
    "trading_date": MONDAY,
    "commit_id": "c1",
    "log_id": LOG,
    "partition": 0,
}


def at(micros):
    """UTC time `micros` after Monday's midnight."""
    return EPOCH + (MONDAY_US + micros) * MICROSECOND


def trade(offset, *, micros=None, symbol="BHP", price="1", quantity="1", **other):
    """One trade; its time is `micros` (default: its offset) after Monday's midnight."""
    time = at(offset if micros is None else micros)
    row = {
        **SHELL,
        "symbol": symbol,
        "timestamp": time,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "side": "BUY",
        "trade_id": None,
        "ingested_at": time,
        "committed_at": at(0),
        "topic": "market.equities.trades.asx",
        "offset": offset,
    }
    return row | other


def quote(offset, *, micros=None, symbol="BHP", bid="1", ask="2", **other):
    """One quote; None is a missing side."""
    row = trade(offset, micros=micros, symbol=symbol, topic="market.equities.quotes.asx")
    for name in ("price", "quantity", "side", "trade_id"):
        del row[name]
    sides = {
        "bid_price": None if bid is None else Decimal(bid),
        "bid_quantity": None if bid is None else Decimal(1),
        "ask_price": None if ask is None else Decimal(ask),
        "ask_quantity": None if ask is None else Decimal(1),
    }
    return row | sides | other


def gap(event, offset, start, end, *, micros=None, symbol="BHP", **other):
    """One gap event."""
    row = {
        "event": event,
        "exchange": "asx",
        "asset_class": "equities",
        "data_type": "trades",
        "symbol": symbol,
        "trading_date": MONDAY,
        "epoch": 0,
        "from_sequence": start,
        "to_sequence": end,
        "missing": end - start + 1,
        "severity": "small" if end - start < 10 else "large",
        "timestamp": at(offset if micros is None else micros),
        "event_index": 0,
        "committed_at": at(0),
        "commit_id": "c1",
        "log_id": LOG,
        "topic": "market.equities.trades.asx",
        "partition": 0,
        "offset": offset,
    }
    return row | other


def company(offset, symbol, name, **other):
    """One record of reference data."""
    row = {
        "company_id": f"id-{symbol}",
        "symbol": symbol,
        "exchange": "asx",
        "asset_class": "equities",
        "name": name,
        "isin": None,
        "currency": "AUD",
        "listed_from": None,
        "listed_to": None,
        "ingested_at": at(0),
        "load_id": None,
        "source_line": None,
        "attributes": None,
        "committed_at": at(0),
        "commit_id": "c1",
        "log_id": LOG,
        "topic": "market.equities.reference_data.asx",
        "partition": 0,
        "offset": offset,
    }
    return row | other


def append(catalog, settings, name, rows):
    """Append rows in one commit; returns the snapshot id."""
    table = load(catalog, settings, Name(name))
    table.append(pa.Table.from_pylist(rows, schema=SPECS[Name(name)].arrow_schema))
    return table.current_snapshot().snapshot_id
