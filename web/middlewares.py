"""What every request goes through, outermost first: correlation id, measures, errors, its host, who asks, no bodies."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from uuid import uuid4

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from k2app import logs
from k2app.errors import K2Error
from k2app.metrics import Metrics
from web.access import HEALTH, Access
from web.hosts import check_hosts
from web.missing import http_error_to_problem
from web.problems import error_to_problem, problem
from web.rates import Places, Rates

REQUEST_ID = "X-Request-ID"
"""Header that carries the correlation id in and out."""

HEADERS = web.RequestKey("headers", dict[str, str])
"""Headers that the response to a request gets, whoever makes it."""

QUERIES = "/v1/"
"""Beginning of the paths whose requests count as queries, of which a caller may have a few at once."""

_REQUEST_ID_TEXT = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
"""What is taken over from a client; anything else could forge log lines."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middlewares(
    metrics: Metrics, access: Access, rates: Rates, places: Places, *, allowed_hosts: str
) -> tuple[Middleware, ...]:
    """All of them, in order."""
    return (
        _correlate,
        _measure(metrics),
        _explain,
        check_hosts(access, allowed_hosts),
        _admit(access, rates, places),
        _refuse_bodies,
    )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give a response its headers just before it is sent; of a streamed one, that is before its handler ends."""
    response.headers[hdrs.SERVER] = "K2"
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    # Keys need not stand in Authorization, which alone would keep shared caches from storing the answer.
    response.headers.setdefault(hdrs.CACHE_CONTROL, "private, no-cache")
    for name, value in request.get(HEADERS, {}).items():
        response.headers.setdefault(name, value)


@web.middleware
async def _correlate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bind the request's id to every log line, and give it back."""
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _REQUEST_ID_TEXT.fullmatch(given) else uuid4().hex
    request[HEADERS] = {REQUEST_ID: request_id}
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        return await handler(request)


def _measure(metrics: Metrics) -> Middleware:
    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the request and its time by route, never by path: paths hold symbols."""
        begun = time.perf_counter()
        response = await handler(request)
        resource = request.match_info.route.resource
        route = "unmatched" if resource is None else resource.canonical
        metrics.requests.labels(route, str(response.status)).inc()
        metrics.request_seconds.labels(route).observe(time.perf_counter() - begun)
        return response

    return measure


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document; tell the log what the client is not told."""
    try:
        return await handler(request)
    except K2Error as error:
        response = error_to_problem(error)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logs.get(__name__).warning(
                "request failed", path=request.path, status=response.status, error=str(error)
            )
        return response
    except web.HTTPException as error:
        return http_error_to_problem(request, error)
    except Exception:  # noqa: BLE001 - the top of a request: logged, counted, never shown
        logs.get(__name__).exception("request failed", path=request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "something went wrong; the log has it")


def _admit(access: Access, rates: Rates, places: Places) -> Middleware:
    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the caller in: not too often (wrong keys count too), with a key that is good for it, not too much."""
        if request.path in HEALTH:
            return await handler(request)
        caller = access.caller(request)
        request[HEADERS] |= await rates.take(caller.name, caller.key.rate if caller.key else None)
        access.check(caller, request)
        if not request.path.startswith(QUERIES):
            return await handler(request)
        with places.taken(caller.name):
            return await handler(request)

    return admit


@web.middleware
async def _refuse_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.can_read_body and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "http", f"{request.path} takes no body")
    return await handler(request)
