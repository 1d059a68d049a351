"""Every query of `k2app.query.queries`, each at its path."""

from __future__ import annotations

import faust

from k2app.query.queries import QUERIES
from web.dependencies import Dependencies
from web.views import add_query


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve them."""
    for query in QUERIES:
        add_query(app, dependencies, query)
