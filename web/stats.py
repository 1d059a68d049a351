"""Rows, files and bytes of the tables."""

from __future__ import annotations

import faust

from k2app.query.engine import STATS_QUERY
from web.dependencies import Dependencies
from web.views import add_query

PATH = "/v1/stats"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the resource."""
    add_query(app, dependencies, STATS_QUERY, PATH)
