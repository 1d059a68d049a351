"""Names under which a server without keys answers: those that only this machine has.

A page from elsewhere can have its own name point to 127.0.0.1, and a browser would then let it read what this server
answers (DNS rebinding). The header `Host` still says the page's name. Source: RFC 9110, 7.2 and 15.5.20.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from web.access import HEALTH, Access
from web.addresses import is_loopback
from web.refusal import RefusedError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def check_hosts(access: Access, allowed: str) -> Middleware:
    """A middleware that lets in requests to names of this machine; with keys, to any name.

    Parameters
    ----------
    access
        Knows whether keys are asked for.
    allowed
        Further names, comma-separated.
    """
    own = frozenset(map(_without_dot, allowed.split(",")))

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a request to another name. Health tells nothing of the data, and machines ask for it by any."""
        if request.path not in HEALTH and not access.is_required():
            # Without the header it is no browser: those always send it.
            for given in request.headers.getall(hdrs.HOST, ()):
                _check(given, own)
        return await handler(request)

    return check


def host_of(header: str) -> str:
    """Name or address in a `Host` header, without its port, in small letters."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return _without_dot(header.partition(":")[0])


def _check(header: str, own: frozenset[str]) -> None:
    """Check one header.

    Raises
    ------
    RefusedError
        421: it is another machine's name.
    """
    host = host_of(header)
    if is_loopback(host) or host in own - {""}:
        return
    raise RefusedError(
        HTTPStatus.MISDIRECTED_REQUEST,
        "misdirected",
        f"{host!r} is not a name of this machine, and without API keys no other is answered: ask for localhost or "
        f"127.0.0.1, list the name in K2_WEB_ALLOWED_HOSTS if it is this server's, or make a key (`k2 keys create`)",
        {},
    )


def _without_dot(name: str) -> str:
    return name.strip().lower().removesuffix(".")
