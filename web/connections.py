"""One client's connection: what cannot be read is a problem document, and nobody may hold one for ever.

A client that sends nothing, or a header now and then, is cut off by aiohttp's keep-alive time, which runs from the
moment it connects. One that asks and then does not take in its answer is cut off here.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from k2app.metrics import Metrics
from k2app.settings import WebSettings
from web.problems import problem

MAX_URL_BYTES = 65_536
"""Bytes of a URL: a thousand symbols and a cursor."""

MAX_HEADER_BYTES = 16_384
"""Bytes of one header."""

LINGER_S = 5.0
"""Seconds for which what a client still sends is thrown away, after it was told that it is too much."""

QUIET_S = 0.2
"""Seconds without a byte after which it has sent all."""


class Connection(web.RequestHandler):
    """aiohttp's connection, with an end to patience.

    Parameters
    ----------
    idle_s
        Seconds in which a client has to take in some of its answer.
    """

    __slots__ = ("_heard_s", "_idle_s", "_left_bytes", "_metrics", "_stalled")

    def __init__(
        self,
        manager: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        idle_s: float,
        metrics: Metrics,
        **options: Any,
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._idle_s = idle_s
        self._metrics = metrics
        self._left_bytes = 0
        self._heard_s = 0.0
        self._stalled: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Note the time, and read."""
        self._heard_s = self._loop.time()
        super().data_received(data)

    def pause_writing(self) -> None:
        """Begin to wait for the client: it takes in less than it is sent."""
        super().pause_writing()
        self._await_progress()

    def resume_writing(self) -> None:
        """Go on: the client has taken in enough."""
        super().resume_writing()
        self._forget()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._forget()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read, or what failed outside every view."""
        if status != HTTPStatus.BAD_REQUEST:
            # It logs the error, and refuses to answer twice.
            super().handle_error(request, status, exc, message)
            return problem(status, "internal", "something went wrong; the log has it")
        status, detail = _unreadable(exc)
        self._metrics.web.requests.labels("unreadable", str(int(status))).inc()
        response = _Farewell(self, problem(status, "http", detail))
        response.force_close()
        return response

    async def linger(self) -> None:
        """Throw away what the client still sends: closing at once would reset it before it has read the answer."""
        self.close()
        end_s = self._loop.time() + LINGER_S
        while (left_s := min(end_s, self._heard_s + QUIET_S) - self._loop.time()) > 0:
            await asyncio.sleep(left_s)
            if self.transport is None:
                return

    def _await_progress(self) -> None:
        if self.transport is not None:
            self._left_bytes = self.transport.get_write_buffer_size()
            self._stalled = self._loop.call_later(self._idle_s, self._look)

    def _look(self) -> None:
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size() < self._left_bytes:
            self._await_progress()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class Server(web.Server):
    """aiohttp's server with our connections.

    Parameters
    ----------
    like
        The server that the application made.
    """

    def __init__(self, like: web.Server, settings: WebSettings, metrics: Metrics) -> None:
        super().__init__(like.request_handler, request_factory=like.request_factory)
        self._options: dict[str, Any] = {
            "idle_s": settings.idle_s,
            "metrics": metrics,
            "keepalive_timeout": settings.idle_s,
            "max_line_size": MAX_URL_BYTES,
            "max_field_size": MAX_HEADER_BYTES,
            "lingering_time": LINGER_S,
            "access_log": None,
        }

    def __call__(self) -> web.RequestHandler:
        """Take a connection."""
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)


class _Farewell(web.Response):
    """The last answer on a connection whose client may still be sending."""

    def __init__(self, connection: Connection, response: web.Response) -> None:
        super().__init__(body=response.body, status=response.status, headers=response.headers)
        self._connection = connection

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        await self._connection.linger()


def _unreadable(error: BaseException | None) -> tuple[HTTPStatus, str]:
    if not isinstance(error, LineTooLong):
        return HTTPStatus.BAD_REQUEST, "this is not an HTTP request"
    if error.args[1] == MAX_HEADER_BYTES:
        return (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"a header is longer than {MAX_HEADER_BYTES} bytes",
        )
    return (
        HTTPStatus.REQUEST_URI_TOO_LONG,
        f"the URL is longer than {MAX_URL_BYTES} bytes; ask in several requests",
    )
