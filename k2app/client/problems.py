"""Problem documents back to the errors they were made of. Source: RFC 9457."""

from __future__ import annotations

import json
from typing import Any

import httpx

from k2app.errors import GoneError, K2Error, OperatorError, RequestError, TransientError

PREFIX = "urn:k2:problem:"

PROBLEM = "application/problem+json"

RETRY_AFTER_S = 1.0
"""Seconds to wait where the server says it in another way."""

SHOWN = 200
"""Characters of an answer that is no problem document."""

_PROXY_STATUSES = frozenset({502, 503, 504})
"""What a proxy answers while the server behind it does not."""


class IncompleteAnswerError(TransientError):
    """An answer broke off before its end; what was read of it is not all there is."""


class SlowAnswerError(TransientError):
    """The server, or this side, gave up waiting; the same question would take as long again."""


class LaterError(TransientError):
    """The server cannot answer now; `retry_after_s` is when it said to come back."""


def may_retry(error: Exception) -> bool:
    """Whether the same question, asked again, may be answered."""
    return isinstance(error, TransientError) and not isinstance(error, SlowAnswerError)


def response_to_error(response: httpx.Response) -> K2Error:
    """Error that a server answered with; its body has been read."""
    document = _document(response)
    detail = str(document.get("detail") or f"{response.url.host} answered {_shown(response)}")
    kind = str(document.get("type", "")).removeprefix(PREFIX)
    if kind in {"request", "gone"}:
        parameter = str(document.get("parameter", "request"))
        made = GoneError if kind == "gone" else RequestError
        return made(parameter, detail.removeprefix(f"{parameter}: "))
    if kind == "timeout":
        return SlowAnswerError(detail)
    if "Retry-After" in response.headers:
        return LaterError(detail, retry_after_s=_retry_after_s(response))
    if not document and response.status_code in _PROXY_STATUSES:
        return TransientError(detail)
    return OperatorError(detail)


def _document(response: httpx.Response) -> dict[str, Any]:
    if response.headers.get("Content-Type", "").partition(";")[0] != PROBLEM:
        return {}
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shown(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}: {response.text[:SHOWN]!r}"


def _retry_after_s(response: httpx.Response) -> float:
    """Seconds of `Retry-After`; a date, which K2 does not send, counts as the shortest wait."""
    text = response.headers["Retry-After"].strip()
    return float(text) if text.isascii() and text.isdecimal() else RETRY_AFTER_S
