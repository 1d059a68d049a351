"""Quotes, a page at a time."""

from __future__ import annotations

import faust

from k2app.query.engine import QUOTES_QUERY
from web.dependencies import Dependencies
from web.views import add_query

PATH = "/v1/quotes"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the resource."""
    add_query(app, dependencies, QUOTES_QUERY, PATH)
