"""Where a server answers each query. Written by `make docs`; not by hand."""

from __future__ import annotations

PATHS = {
    "trades": "/v1/trades",
    "quotes": "/v1/quotes",
    "summary": "/v1/summary/{symbol}/{date}",
    "summaries": "/v1/summary",
    "bars": "/v1/bars",
    "taq": "/v1/taq",
    "gaps": "/v1/gaps",
    "symbols": "/v1/symbols",
    "stats": "/v1/stats",
    "snapshots": "/v1/snapshots",
    "diff": "/v1/snapshots/diff",
    "snapshot": "/v1/snapshots/{id}",
    "range": "/v1/range",
    "completeness": "/v1/completeness",
    "dead-letters": "/v1/dead-letters",
}
"""Path by name."""

PAGED = frozenset({"trades", "quotes", "bars"})
"""Queries whose streams take any limit."""

UNPINNED = frozenset({"diff"})
"""Queries that take no `snapshots`."""
