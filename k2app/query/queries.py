"""Every query by name."""

from __future__ import annotations

from k2app.lake.tables import SPECS, Name
from k2app.query.bars.bars import SCHEMA as BARS_SCHEMA
from k2app.query.bars.bars import read_bars, stream_bars
from k2app.query.bars.request import BarsRequest
from k2app.query.coverage.inventory import STATS_SCHEMA, SYMBOLS_SCHEMA, read_stats, read_symbols
from k2app.query.gaps.gaps import STATE_SCHEMA, read_gaps
from k2app.query.lake_queries import LAKE_QUERIES
from k2app.query.query import Query
from k2app.query.reading.reader import QUOTES, TRADES
from k2app.query.requests import (
    GapsRequest,
    RowsRequest,
    StatsRequest,
    SummariesRequest,
    SummaryRequest,
    SymbolsRequest,
)
from k2app.query.rows import read_rows, stream_rows
from k2app.query.summary import SCHEMA as SUMMARY_SCHEMA
from k2app.query.summary import read_summaries, read_summary
from k2app.query.taq.request import TaqRequest
from k2app.query.taq.taq import SCHEMA as TAQ_SCHEMA
from k2app.query.taq.taq import read_taq

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
    lambda reader, request: stream_rows(reader, TRADES, request),
    schema=SPECS[Name.TRADES].arrow_schema,
)

QUOTES_QUERY = Query(
    "quotes",
    "/v1/quotes",
    "Quotes in order of time; duplicates and rows of retracted loads are left out unless asked for.",
    RowsRequest,
    lambda reader, request: read_rows(reader, QUOTES, request),
    (*_SHELL, "bid_price", "bid_quantity", "ask_price", "ask_quantity", "sequence", "sequence_flag"),
    ("quotes --symbol BHP --order desc --limit 1 --output json",),
    lambda reader, request: stream_rows(reader, QUOTES, request),
    schema=SPECS[Name.QUOTES].arrow_schema,
)

SUMMARY_QUERY = Query(
    "summary",
    "/v1/summary/{symbol}/{date}",
    "A symbol's trading date: open, high, low, close, VWAP, volume, gaps.",
    SummaryRequest,
    read_summary,
    _SUMMARY_COLUMNS,
    ("summary BHP 2026-01-05 --exchange asx",),
    schema=SUMMARY_SCHEMA,
)

SUMMARIES_QUERY = Query(
    "summaries",
    "/v1/summary",
    "Every symbol's trading dates, as `summary` has one.",
    SummariesRequest,
    read_summaries,
    _SUMMARY_COLUMNS,
    ("summaries --start-date 2026-01-05 --end-date 2026-01-10 --exchange asx",),
    schema=SUMMARY_SCHEMA,
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
    schema=STATE_SCHEMA,
)

SYMBOLS_QUERY = Query(
    "symbols",
    "/v1/symbols",
    "The symbols that have rows, with counts and times.",
    SymbolsRequest,
    read_symbols,
    (),
    ("symbols --exchange asx --output csv",),
    schema=SYMBOLS_SCHEMA,
)

STATS_QUERY = Query(
    "stats",
    "/v1/stats",
    "Rows, files and bytes of the tables.",
    StatsRequest,
    read_stats,
    (),
    ("stats --as-of 2026-01-05T00:00:00Z --output json",),
    schema=STATS_SCHEMA,
)

BARS_QUERY = Query(
    "bars",
    "/v1/bars",
    "Bars of any interval: open, high, low, close, volume, VWAP; prints off the market are left out.",
    BarsRequest,
    read_bars,
    (
        *("timestamp", "symbol", "exchange", "currency", "open", "high", "low", "close", "vwap", "volume"),
        "trades",
    ),
    (
        "bars --symbol BHP --interval 5m --start 2026-01-05T00:00:00Z",
        "bars --symbol BHP --interval 1d --align session --fill previous --output csv",
    ),
    stream_bars,
    schema=BARS_SCHEMA,
)

TAQ_QUERY = Query(
    "taq",
    "/v1/taq",
    "Trades with the quote that prevailed: mid, spread, effective spread, age of the quote.",
    TaqRequest,
    read_taq,
    (
        *(*_SHELL, "price", "quantity", "quote_timestamp", "bid_price", "ask_price", "mid", "spread"),
        *("effective_spread", "quote_age_us"),
    ),
    ("taq --symbol BHP --start 2026-01-05T00:00:00Z --max-age 5s --match before",),
    schema=TAQ_SCHEMA,
)

QUERIES = (
    TRADES_QUERY,
    QUOTES_QUERY,
    SUMMARY_QUERY,
    SUMMARIES_QUERY,
    BARS_QUERY,
    TAQ_QUERY,
    GAPS_QUERY,
    SYMBOLS_QUERY,
    STATS_QUERY,
    *LAKE_QUERIES,
)
"""All that HTTP, the command line and the client offer, in the order of the documents."""
