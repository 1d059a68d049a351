"""What every request goes through, outermost first: correlation id, measures, errors, no bodies."""

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
from web.problems import error_to_problem, problem

REQUEST_ID = "X-Request-ID"
"""Header that carries the correlation id in and out."""

_REQUEST_ID_TEXT = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
"""What is taken over from a client; anything else could forge log lines."""

_KEPT_HEADERS = (hdrs.ALLOW,)
"""Headers of aiohttp's own errors that the problem keeps."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middlewares(metrics: Metrics) -> tuple[Middleware, ...]:
    """All of them, in order."""
    return (_correlate, _measure(metrics), _explain, _refuse_bodies)


@web.middleware
async def _correlate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bind the request's id to every log line, and give it back."""
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _REQUEST_ID_TEXT.fullmatch(given) else uuid4().hex
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        response = await handler(request)
    response.headers[REQUEST_ID] = request_id
    return response


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
        headers = {str(name): error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
        return problem(
            error.status, "http", f"{request.method} {request.path}: {error.reason}", headers=headers
        )
    except Exception:  # noqa: BLE001 - the top of a request: logged, counted, never shown
        logs.get(__name__).exception("request failed", path=request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "something went wrong; the log has it")


@web.middleware
async def _refuse_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.can_read_body and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "http", f"{request.path} takes no body")
    return await handler(request)
