"""Views that answer with a query: parse, ask, wait, write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import faust
from aiohttp import web
from faust.web import View

from k2app.errors import RequestError, TransientError
from k2app.query.engine import Query
from k2app.query.pool import QueryCancelledError, QueryTimeoutError, Running, TooBusyError
from k2app.query.requests import parse
from k2app.query.result_text import to_json
from web.dependencies import Dependencies

LOOK_EVERY_S = 0.1
"""Seconds between looks at whether the client is still there."""

Get = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_view(app: faust.App, name: str, path: str, get: Get) -> None:
    """Serve `get` at a path, for GET and HEAD."""

    async def handler(_view: View, request: web.Request, **_path: str) -> web.StreamResponse:
        return await get(request)

    view = View.from_handler(handler)
    view.view_name, view.view_path = name, path
    app.web.add_view(view)


def add_query(app: faust.App, dependencies: Dependencies, query: Query, path: str) -> None:
    """Serve a query at a path; its parameters come from path and query string."""
    add_view(app, query.name, path, partial(_get, dependencies, query))


async def _get(dependencies: Dependencies, query: Query, request: web.Request) -> web.StreamResponse:
    begun = time.perf_counter()
    outcome = "failed"
    try:
        body = await _ask(dependencies, query, request)
        outcome = "answered"
        return web.Response(body=body, content_type="application/json", charset="utf-8")
    except Exception as error:
        outcome = _outcome(error)
        raise
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    finally:
        dependencies.metrics.queries.labels(query.name, outcome).inc()
        dependencies.metrics.query_seconds.labels(query.name).observe(time.perf_counter() - begun)


async def _ask(dependencies: Dependencies, query: Query, request: web.Request) -> bytes:
    asked = parse(query.request, [*request.match_info.items(), *request.query.items()])
    running = dependencies.engine.submit(query, asked, partial(to_json, numbers=asked.numbers))
    return await _wait(request, running)


async def _wait(request: web.Request, running: Running[bytes]) -> bytes:
    """Wait for the answer, or for the client to go away; then the query is stopped."""
    answer = asyncio.wrap_future(running.future)
    answer.add_done_callback(_look_at)
    try:
        while not (await asyncio.wait({answer}, timeout=LOOK_EVERY_S))[0]:
            if request.transport is None or request.transport.is_closing():
                running.cancel()
                raise QueryCancelledError("the client went away")
    except asyncio.CancelledError:
        running.cancel()
        raise
    if answer.cancelled():
        raise TransientError("the server is stopping")
    return answer.result()


def _look_at(answer: asyncio.Future[bytes]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _outcome(error: Exception) -> str:
    outcomes: dict[type[Exception], str] = {
        RequestError: "refused",
        TooBusyError: "busy",
        QueryTimeoutError: "timeout",
        QueryCancelledError: "cancelled",
    }
    return outcomes.get(type(error), "failed")
