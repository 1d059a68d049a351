"""Who asks, and what they may: API keys from `Authorization: Bearer` or `X-API-Key`. Source: RFC 6750."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from aiohttp import hdrs, web

from k2app.operate.key_file import KeyFile
from k2app.operate.keys import ApiKey, Scope, find
from k2app.settings import WebSettings
from web.addresses import is_loopback
from web.refusal import RefusedError

API_KEY = "X-API-Key"
"""Header that may hold a key, for clients that use `Authorization` for something else."""

HEALTH = ("/health/live", "/health/ready")
"""Asked by machines that have no key, every second."""

PUBLIC = (*HEALTH, "/openapi.json", "/docs")
"""Paths that ask for no key: they tell nothing of the data. Metrics do (topics, volumes), and are not among them."""

REPLAY = "/v1/replay"
"""Path, and beginning of paths, that take the scope `replay`."""

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that change nothing. Source: RFC 9110, 9.2.1."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name
        What limits are counted by: the key's id, or the address.
    key
        Their key; None: they gave none that is good.
    wrong
        What is wrong with the key they gave; empty: nothing, or none was given.
    """

    name: str
    key: ApiKey | None = None
    wrong: str = ""


class Access:
    """Who may do what.

    Parameters
    ----------
    settings
        Whether keys are asked for.
    file
        The keys.
    now
        The time; keys expire.
    """

    def __init__(self, settings: WebSettings, file: KeyFile, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._file = file
        self._now = now
        self._had_keys = False

    def is_required(self) -> bool:
        """Whether requests need a key."""
        if self._settings.keys != "auto":
            return self._settings.keys == "required"
        # A file that is taken away must not open what was closed.
        self._had_keys = self._had_keys or bool(self._file.read())
        return self._had_keys or not is_loopback(self._settings.host)

    def caller(self, request: web.Request) -> Caller:
        """Tell who asks. Without keys, it is their address; the headers are not looked at."""
        anonymous = f"address {request.remote}"
        given = _given(request) if self.is_required() else ""
        if not given:
            return Caller(anonymous)
        key = find(self._file.read(), given)
        if key is None:
            return Caller(anonymous, wrong="is not one of this server's")
        state = key.state(self._now())
        return Caller(anonymous, wrong=f"is {state}") if state != "good" else Caller(f"key {key.id}", key)

    def check(self, caller: Caller, request: web.Request) -> None:
        """Let a caller in, or not.

        Raises
        ------
        RefusedError
            401: they have no good key. 403: theirs is not for this.
        """
        if not self.is_required() or is_public(request):
            return
        if caller.key is None:
            raise _unknown(caller)
        scope = scope_of(request)
        if scope not in caller.key.scopes:
            raise _not_for_this(caller.key, scope)


def is_public(request: web.Request) -> bool:
    """Whether a path asks for no key."""
    return request.path in PUBLIC or request.path.startswith("/docs/")


def scope_of(request: web.Request) -> Scope:
    """Scope that a request takes: `admin` for what changes something, `replay` for replays, or else `read`."""
    if request.method not in SAFE_METHODS:
        return Scope.ADMIN
    is_replay = request.path == REPLAY or request.path.startswith(f"{REPLAY}/")
    return Scope.REPLAY if is_replay else Scope.READ


def _given(request: web.Request) -> str:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get(API_KEY, "").strip()


def _unknown(caller: Caller) -> RefusedError:
    ask = f"send one as `Authorization: Bearer k2_...` or `{API_KEY}: k2_...`; `k2 keys create` makes one"
    told = f"the API key {caller.wrong}" if caller.wrong else "an API key is needed"
    challenge = 'Bearer realm="k2"' + (', error="invalid_token"' if caller.wrong else "")
    return RefusedError(
        HTTPStatus.UNAUTHORIZED, "unauthorized", f"{told}: {ask}", {hdrs.WWW_AUTHENTICATE: challenge}
    )


def _not_for_this(key: ApiKey, scope: Scope) -> RefusedError:
    challenge = f'Bearer realm="k2", error="insufficient_scope", scope="{scope}"'
    return RefusedError(
        HTTPStatus.FORBIDDEN,
        "forbidden",
        f"key {key.id} may {', '.join(key.scopes)}; this takes a key with the scope {scope}",
        {hdrs.WWW_AUTHENTICATE: challenge},
    )
