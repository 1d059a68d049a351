"""Errors as problem documents. Source: RFC 9457."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any

from aiohttp import web

from k2app.errors import GoneError, K2Error, OperatorError, RequestError, TransientError
from k2app.passwords import without_passwords
from k2app.query.reading.pool import QueryCancelledError, QueryTimeoutError, TooBusyError
from web.refusal import RefusedError

CONTENT_TYPE = "application/problem+json"

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that went away: nobody reads it, the metrics count it."""

KINDS: tuple[tuple[type[K2Error], int, str], ...] = (
    (GoneError, HTTPStatus.GONE, "gone"),
    (RequestError, HTTPStatus.BAD_REQUEST, "request"),
    (TooBusyError, HTTPStatus.TOO_MANY_REQUESTS, "busy"),
    (QueryTimeoutError, HTTPStatus.GATEWAY_TIMEOUT, "timeout"),
    (TransientError, HTTPStatus.SERVICE_UNAVAILABLE, "transient"),
    (QueryCancelledError, CLIENT_CLOSED_REQUEST, "cancelled"),
    (OperatorError, HTTPStatus.SERVICE_UNAVAILABLE, "operator"),
)
"""Status and kind by error; the first that fits."""


def error_to_problem(error: K2Error) -> web.Response:
    """Response for one of our errors; what has no line of its own in `KINDS` is not told to the client."""
    if isinstance(error, RefusedError):
        return problem(error.status, error.kind, str(error), headers=error.headers)
    for error_type, status, kind in KINDS:
        if isinstance(error, error_type):
            members: dict[str, Any] = (
                {"parameter": error.parameter} if isinstance(error, RequestError) else {}
            )
            return problem(status, kind, str(error), retry_after_s=_retry_after_s(error), **members)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "something went wrong; the log has it")


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    retry_after_s: float | None = None,
    headers: dict[str, str] | None = None,
    **members: object,
) -> web.Response:
    """Make a problem document. Passwords of URLs are left out of it: libraries put what they were given into errors.

    Parameters
    ----------
    kind
        Last part of its type, for programs; `detail` is for people.
    members
        Further members, such as the parameter at fault.
    """
    title = "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else HTTPStatus(status).phrase
    document = {
        "type": f"urn:k2:problem:{kind}",
        "title": title,
        "status": int(status),
        "detail": detail,
        **members,
    }
    further = {} if retry_after_s is None else {"Retry-After": str(math.ceil(retry_after_s))}
    body = without_passwords(json.dumps(document, ensure_ascii=False, default=str)).encode()
    return web.Response(
        body=body, status=status, content_type=CONTENT_TYPE, headers={**(headers or {}), **further}
    )


def _retry_after_s(error: K2Error) -> float | None:
    """Seconds to wait before asking again; None where asking the same again would not help."""
    if isinstance(error, TransientError) and not isinstance(error, QueryTimeoutError):
        return error.retry_after_s
    return None
