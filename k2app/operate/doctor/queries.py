"""Queries: DuckDB, its settings and its extensions, on the lake as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import duckdb
from pyiceberg.catalog import Catalog

from k2app.operate.doctor.findings import Finding, fine
from k2app.query.engine import QueryEngine
from k2app.query.queries import TRADES_QUERY
from k2app.query.requests import RowsRequest, make
from k2app.settings import Settings
from k2app.topology import served_exchanges

PART = "queries"


def look_at_queries(settings: Settings, catalog: Catalog) -> Iterator[Finding]:
    """Ask for the newest trade of each exchange: through plan, files and DuckDB, as every query goes."""
    exchanges = served_exchanges(settings)
    with closing(QueryEngine(settings, catalog, exchanges)) as engine:
        rows = 0
        for exchange in exchanges:
            request = make(RowsRequest, exchange=exchange, order="desc", limit=1)
            rows += len(engine.answer(TRADES_QUERY, request).rows)
    yield fine(
        PART,
        f"DuckDB {duckdb.__version__} reads the lake ({settings.query.threads} threads, {settings.query.memory_limit})"
        + ("" if rows else "; there are no trades yet"),
    )
