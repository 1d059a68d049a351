"""The symbols that have rows."""

from __future__ import annotations

import faust

from k2app.query.engine import SYMBOLS_QUERY
from web.dependencies import Dependencies
from web.views import add_query

PATH = "/v1/symbols"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the resource."""
    add_query(app, dependencies, SYMBOLS_QUERY, PATH)
