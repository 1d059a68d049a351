"""Every query by name."""

from __future__ import annotations

from k2app.query.gaps import read_gaps
from k2app.query.inventory import read_stats, read_symbols
from k2app.query.query import Query
from k2app.query.reader import QUOTES, TRADES
from k2app.query.requests import (
    GapsRequest,
    RowsRequest,
    StatsRequest,
    SummariesRequest,
    SummaryRequest,
    SymbolsRequest,
)
from k2app.query.rows import read_rows
from k2app.query.summary import read_summaries, read_summary

_SHELL = ("timestamp", "symbol", "exchange")

_SUMMARY_COLUMNS = (
    *("symbol", "exchange", "currency", "trading_date", "open", "high", "low", "close", "vwap", "volume"),
    *("trades", "off_market_volume", "off_market_trades", "open_gaps"),
)

TRADES_QUERY = Query(
    "trades",
    "/v1/trades",
    "Trades in order of time; duplicates and rows of retracted loads are left out unless asked for.",
    RowsRequest,
    lambda reader, request: read_rows(reader, TRADES, request),
    (*_SHELL, "price", "quantity", "side", "conditions", "sequence", "sequence_flag"),
    (
        "trades --symbol BHP --start 2026-01-05T00:00:00Z --limit 10",
        "trades --symbol BHP --symbol RIO --start 2026-01-05T10:00:00+11:00 --output csv",
    ),
)

QUOTES_QUERY = Query(
    "quotes",
    "/v1/quotes",
    "Quotes in order of time; duplicates and rows of retracted loads are left out unless asked for.",
    RowsRequest,
    lambda reader, request: read_rows(reader, QUOTES, request),
    (*_SHELL, "bid_price", "bid_quantity", "ask_price", "ask_quantity", "sequence", "sequence_flag"),
    ("quotes --symbol BHP --order desc --limit 1 --output json",),
)

SUMMARY_QUERY = Query(
    "summary",
    "/v1/summary/{symbol}/{date}",
    "A symbol's trading date: open, high, low, close, VWAP, volume, gaps.",
    SummaryRequest,
    read_summary,
    _SUMMARY_COLUMNS,
    ("summary BHP 2026-01-05 --exchange asx",),
)

SUMMARIES_QUERY = Query(
    "summaries",
    "/v1/summary",
    "Every symbol's trading dates, as `summary` has one.",
    SummariesRequest,
    read_summaries,
    _SUMMARY_COLUMNS,
    ("summaries --start-date 2026-01-05 --end-date 2026-01-10 --exchange asx",),
)

GAPS_QUERY = Query(
    "gaps",
    "/v1/gaps",
    "Sequence gaps: what is missing, what came later, what was given up.",
    GapsRequest,
    read_gaps,
    (
        *("exchange", "data_type", "symbol", "trading_date", "epoch", "event", "state", "from_sequence"),
        *("to_sequence", "missing", "severity", "timestamp"),
    ),
    ("gaps --symbol BHP --open-only",),
)

SYMBOLS_QUERY = Query(
    "symbols",
    "/v1/symbols",
    "The symbols that have rows, with counts and times.",
    SymbolsRequest,
    read_symbols,
    (),
    ("symbols --exchange asx --output csv",),
)

STATS_QUERY = Query(
    "stats",
    "/v1/stats",
    "Rows, files and bytes of the tables.",
    StatsRequest,
    read_stats,
    (),
    ("stats --as-of 2026-01-05T00:00:00Z --output json",),
)

QUERIES = (
    TRADES_QUERY,
    QUOTES_QUERY,
    SUMMARY_QUERY,
    SUMMARIES_QUERY,
    GAPS_QUERY,
    SYMBOLS_QUERY,
    STATS_QUERY,
)
"""All that HTTP, the command line and the client offer, in the order of the documents."""
