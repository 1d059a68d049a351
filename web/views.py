"""Views that answer with a query: parse, ask, wait, write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import faust
from aiohttp import hdrs, web
from faust.web import View

from k2app.errors import GoneError, RequestError
from k2app.query.answers.formats import MEDIA_TYPES, Format, accepted
from k2app.query.answers.result import Result
from k2app.query.answers.result_text import to_json
from k2app.query.measures import count_bytes
from k2app.query.query import Query
from k2app.query.reading.pool import QueryCancelledError, QueryTimeoutError, TooBusyError
from k2app.query.requests import Request, parse
from web.dependencies import Dependencies
from web.encoding import SMALL_BYTES, chosen, encoded
from web.streaming import BrokenOffError, SlowClientError, head_of, send_stream
from web.waiting import answer_of

Get = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_view(app: faust.App, name: str, path: str, get: Get) -> None:
    """Serve `get` at a path, for GET and HEAD."""

    async def handler(_view: View, request: web.Request, **_path: str) -> web.StreamResponse:
        return await get(request)

    view = View.from_handler(handler)
    view.view_name, view.view_path = name, path
    app.web.add_view(view)


def add_query(app: faust.App, dependencies: Dependencies, query: Query) -> None:
    """Serve a query at its path; its parameters come from path and query string."""
    add_view(app, query.name, query.path, partial(_get, dependencies, query))


async def _get(dependencies: Dependencies, query: Query, request: web.Request) -> web.StreamResponse:
    try:
        with measured(dependencies, query.name):
            return await _answer(dependencies, query, request)
    except BrokenOffError as broken:
        # What was sent cannot be taken back, and nothing may follow it.
        return broken.response


async def _answer(dependencies: Dependencies, query: Query, request: web.Request) -> web.StreamResponse:
    asked = parse(query.request, [*request.match_info.items(), *request.query.items()])
    form = asked.format or accepted(request.headers.get(hdrs.ACCEPT))
    if form is Format.JSON:
        return await _send_json(dependencies, query, asked, request)
    return await send_stream(dependencies, query, asked, form, request)


class measured:  # noqa: N801 - used as a function
    """Count a query by its outcome, and its time."""

    def __init__(self, dependencies: Dependencies, name: str) -> None:
        self._metrics, self._name = dependencies.metrics, name

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._metrics.query.queries.labels(
            self._name, _outcome(error.__cause__ if isinstance(error, BrokenOffError) else error)
        ).inc()
        self._metrics.query.seconds.labels(self._name).observe(time.perf_counter() - self._begun)


async def _send_json(
    dependencies: Dependencies, query: Query, asked: Request, request: web.Request
) -> web.StreamResponse:
    encoding = chosen(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    running = dependencies.engine.submit(query, asked, partial(_page, asked, encoding))
    body, headers, size_bytes = await answer_of(request, running)
    count_bytes(dependencies.metrics.query, query.name, size_bytes)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: _JSON, **headers})


_JSON = f"{MEDIA_TYPES[Format.JSON]}; charset=utf-8"


def _page(asked: Request, encoding: str | None, result: Result) -> tuple[bytes, dict[str, str], int]:
    """Body and headers of a page, and the bytes it has before compression; made in the query's thread."""
    body = to_json(result, numbers=asked.numbers)
    headers = head_of(result)
    if encoding is None or len(body) <= SMALL_BYTES:
        return body, headers, len(body)
    return encoded(encoding, body), {**headers, hdrs.CONTENT_ENCODING: encoding}, len(body)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "answered"
    outcomes: dict[type[BaseException], str] = {
        RequestError: "refused",
        GoneError: "refused",
        TooBusyError: "busy",
        QueryTimeoutError: "timeout",
        SlowClientError: "slow_client",
        QueryCancelledError: "cancelled",
        asyncio.CancelledError: "cancelled",
    }
    return outcomes.get(type(error), "failed")
