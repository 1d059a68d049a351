"""The HTTP client of the schema registry: login, encryption, time limits, and which answers are a registry's."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
from schema_registry.client import SchemaRegistryClient
from schema_registry.client.errors import ClientError

from k2app.settings import RegistrySettings
from k2app.stream import tls

NOT_FOUND_CODES = range(40401, 40500)
"""A registry's own words for what it does not have: 40403 for an id that no schema has (Source: Confluent schema
registry API, "Errors"). Where it has no such path, or something else answers, there is 404 and none of these."""

WORDS = 200
"""Characters of an answer that are shown."""

PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.NOT_FOUND})
"""Statuses below 500 that say nothing about the request: too slow, too many, or no registry there (yet)."""


class RegistryClient(SchemaRegistryClient):
    """Client of one registry. An answer that no registry gives is an error, never "there is no such schema"."""

    def __init__(self, settings: RegistrySettings) -> None:
        url, auth = _login(settings)
        super().__init__(url=url, auth=auth, timeout=httpx.Timeout(settings.timeout_s))
        if url.startswith("https:"):
            self.client_kwargs["verify"] = tls.context(settings, "K2_REGISTRY")

    def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """Ask the registry.

        Raises
        ------
        ClientError
            Something else answered: a proxy before it, for example.
        """
        response: httpx.Response = super().request(*args, **kwargs)
        if not _is_registrys(response):
            raise ClientError(
                f"HTTP {response.status_code}, not a registry's answer: {response.text[:WORDS]!r}",
                http_code=response.status_code,
            )
        return response


def _is_registrys(response: httpx.Response) -> bool:
    try:
        answer = response.json()
    except ValueError:
        return False
    if response.status_code != HTTPStatus.NOT_FOUND:
        return True
    return isinstance(answer, dict) and answer.get("error_code") in NOT_FOUND_CODES


def _login(settings: RegistrySettings) -> tuple[str, httpx.Auth]:
    """URL without a user, and the login: the settings', or the URL's own."""
    parts = urlsplit(settings.url)
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if settings.username:
        return url, httpx.BasicAuth(settings.username, settings.password.get_secret_value())
    if parts.username:
        return url, httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    return url, httpx.Auth()


def is_login(error: ClientError) -> bool:
    """Whether the registry asks who we are, or does not let us."""
    return error.http_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def is_blame(error: ClientError) -> bool:
    """Whether the registry says that the request is wrong, and will stay so."""
    status = error.http_code or HTTPStatus.INTERNAL_SERVER_ERROR
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in PASSING


def is_untrusted(error: BaseException) -> bool:
    """Whether the connection failed for its encryption."""
    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
