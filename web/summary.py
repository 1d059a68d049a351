"""A trading day in one row, of one symbol or of all."""

from __future__ import annotations

import faust

from k2app.query.engine import SUMMARIES_QUERY, SUMMARY_QUERY
from web.dependencies import Dependencies
from web.views import add_query

PATH = "/v1/summary/{symbol}/{date}"

ALL_PATH = "/v1/summary"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the resource."""
    add_query(app, dependencies, SUMMARY_QUERY, PATH)
    add_query(app, dependencies, SUMMARIES_QUERY, ALL_PATH)
