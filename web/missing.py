"""aiohttp's own refusals as problem documents: paths that are not there, methods that a path does not have."""

from __future__ import annotations

from difflib import get_close_matches

from aiohttp import hdrs, web

from web.problems import problem

SHOWN = 200
"""Characters of a path that are repeated to the client."""


def http_error_to_problem(request: web.Request, error: web.HTTPException) -> web.Response:
    """Response for one of aiohttp's errors."""
    asked = f"{request.method} {_shown(request.path)}"
    if isinstance(error, web.HTTPNotFound):
        near = _nearest(request)
        return problem(error.status, "http", f"{asked}: there is nothing here; the nearest is {near}")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(error.status, "http", f"{asked}: this takes {allowed}", headers={hdrs.ALLOW: allowed})
    return problem(error.status, "http", f"{asked}: {error.reason}")


def _nearest(request: web.Request) -> str:
    paths = sorted({resource.canonical for resource in request.app.router.resources()})
    return get_close_matches(request.path[:SHOWN], paths, n=1, cutoff=0.0)[0]


def _shown(path: str) -> str:
    return path if len(path) <= SHOWN else f"{path[:SHOWN]}..."
