"""Sequence gaps, as state or as events."""

from __future__ import annotations

import faust

from k2app.query.engine import GAPS_QUERY
from web.dependencies import Dependencies
from web.views import add_query

PATH = "/v1/gaps"


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve the resource."""
    add_query(app, dependencies, GAPS_QUERY, PATH)
