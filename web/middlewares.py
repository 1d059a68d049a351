"""What every request goes through, outermost first.

Correlation id, measures, errors, refusals, its host, who asks, no bodies.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from k2app import logs, tracing
from k2app.errors import K2Error
from k2app.metrics import Metrics
from k2app.query.reading.pool import TooBusyError
from web.access import HEALTH, Access
from web.hosts import check_hosts
from web.missing import http_error_to_problem
from web.problems import error_to_problem, problem
from web.rates import Places, Rates
from web.refusal import RefusedError

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
        _count_refusals(metrics),
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
    with (
        logs.correlated(request_id=request_id),
        tracing.request_span(request.method, request.headers) as span,
    ):
        response = await handler(request)
        tracing.note(span, f"{request.method} {route_of(request)}", _told(request, response))
        return response


def _told(request: web.Request, response: web.StreamResponse) -> dict[str, str | int]:
    """What a request's span says. Source: OpenTelemetry semantic conventions, "HTTP server span"."""
    return {
        "http.request.method": request.method,
        "http.route": route_of(request),
        "http.response.status_code": response.status,
        "k2.request_id": request[HEADERS][REQUEST_ID],
    }


def route_of(request: web.Request) -> str:
    """Path of a request as it was declared, never as it was asked: paths hold symbols."""
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else resource.canonical


def _measure(metrics: Metrics) -> Middleware:
    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the request and its time by route, never by path: paths hold symbols."""
        begun = time.perf_counter()
        with metrics.web.in_flight.track_inprogress():
            response = await handler(request)
        route = route_of(request)
        metrics.web.requests.labels(route, str(response.status)).inc()
        metrics.web.seconds.labels(route).observe(time.perf_counter() - begun)
        metrics.web.bytes.labels(route).inc(_body_bytes(request, response))
        return response

    return measure


def _body_bytes(request: web.Request, response: web.StreamResponse) -> int:
    """Bytes of a response's body: of one that is sent while it is made, what was sent; of others what will be."""
    if request.method == hdrs.METH_HEAD:
        return 0
    return response.body_length if response.prepared else response.content_length or 0


def _count_refusals(metrics: Metrics) -> Middleware:
    @web.middleware
    async def count_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count who is not let in, by why."""
        try:
            return await handler(request)
        except TooBusyError:
            metrics.web.limited.labels("busy").inc()
            raise
        except RefusedError as error:
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                metrics.web.limited.labels(error.kind).inc()
            elif hdrs.WWW_AUTHENTICATE in error.headers:
                metrics.web.unauthorised.labels(_reason(error)).inc()
            raise

    return count_refusals


def _reason(error: RefusedError) -> str:
    """What is wrong with a key (Source: RFC 6750, 3.1: no error code where none was sent)."""
    challenge = error.headers[hdrs.WWW_AUTHENTICATE]
    if "insufficient_scope" in challenge:
        return "scope"
    return "wrong" if "invalid_token" in challenge else "missing"


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
