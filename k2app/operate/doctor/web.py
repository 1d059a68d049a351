"""The HTTP interface: who has the port, and whether a server there says that it is ready."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http import HTTPStatus

import httpx

from k2app.operate.doctor.findings import Finding, fine, warning
from k2app.operate.key_file import key_file
from k2app.settings import Settings

PART = "web"

ANSWER_WITHIN_S = 5.0
"""Seconds in which a server says how it is: it answers from memory."""


def look_at_web(settings: Settings) -> Iterator[Finding]:
    """Look at keys and port, and ask the server that is there."""
    keys = key_file(settings).read()
    yield fine(PART, f"keys are {settings.web.keys}; {len(keys):,} in the file")
    if not settings.web.enabled:
        yield fine(PART, "HTTP is off (K2_WEB_ENABLED)")
        return
    yield _server(_reached_at(settings.web.host), settings.web.port)


def _reached_at(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what is listened on, not by us


def _server(host: str, port: int) -> Finding:
    at = f"{host}:{port}"
    if not _taken(host, port):
        return fine(PART, f"nobody listens on {at}: free for `k2 worker` or `k2 web`")
    name = f"[{host}]" if ":" in host else host
    try:
        answer = httpx.get(f"http://{name}:{port}/health/ready", timeout=ANSWER_WITHIN_S)
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return _stranger(at, repr(error))
    if answer.status_code == HTTPStatus.OK:
        return fine(PART, f"{at} answers and is ready")
    if "reasons" not in found:
        return _stranger(at, f"status {answer.status_code}")
    return warning(PART, f"{at} answers and is not ready: {'; '.join(found['reasons'])}", "see its log")


def _stranger(at: str, said: str) -> Finding:
    return warning(
        PART, f"{at} is taken by a program that does not answer as K2 does: {said}", "set another K2_WEB_PORT"
    )


def _taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(ANSWER_WITHIN_S)
        return probe.connect_ex((host, port)) == 0
