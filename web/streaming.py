"""Answers that are sent while they are read.

An error before the first byte is a problem document like any other. One after it cuts the connection before the answer
is whole: HTTP shows that to the client (the last chunk is missing), and so does the form itself (see
`k2app.query.answers.writing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from aiohttp import hdrs, web

from k2app import logs
from k2app.errors import K2Error
from k2app.passwords import without_passwords
from k2app.query.answers.formats import MEDIA_TYPES, Format
from k2app.query.answers.result import Result
from k2app.query.answers.stream import Stream
from k2app.query.answers.writing import control_line, write_stream
from k2app.query.beside import Bytes
from k2app.query.measures import count_bytes
from k2app.query.query import Query
from k2app.query.reading.pool import QueryCancelledError, QueryTimeoutError, Running
from k2app.query.requests import Request
from k2app.query.times import micros_to_text
from web.channel import Channel
from web.dependencies import Dependencies
from web.encoding import chosen, encoder
from web.waiting import LOOK_EVERY_S, check_there, future_of, result_of

PIECE_BYTES = 262_144
"""Bytes handed to the connection at once: what a slow client must take within its time."""

GATHERED_BYTES = 65_536
"""Bytes that a query writes before the event loop is woken for them."""

TEXTS = (Format.NDJSON, Format.CSV)

Write = Callable[[bytes], object]


def head_of(answer: Result | Stream) -> dict[str, str]:
    """What headers say of an answer in any form."""
    snapshots = ",".join(f"{t}:{'none' if n is None else n}" for t, n in sorted(answer.snapshots.items()))
    as_of = {} if answer.as_of_us is None else {"K2-As-Of": micros_to_text(answer.as_of_us)}
    return {hdrs.VARY: "Accept, Accept-Encoding", "K2-Snapshots": snapshots, **as_of}


class SlowClientError(QueryTimeoutError):
    """The client took too little of the answer: no fault of the query's."""


class BrokenOffError(Exception):
    """An answer that was begun and cannot be ended; its cause says why."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("the answer broke off")
        self.response = response


def _uncounted(_size_bytes: int) -> None:
    pass


@dataclass
class _Sending:
    """One answer on its way."""

    form: Format
    encoding: str | None
    channel: Channel = field(default_factory=lambda: Channel(GATHERED_BYTES))
    headers: dict[str, str] = field(default_factory=dict)
    count: Callable[[int], None] = _uncounted
    """Hears how many bytes were written, before compression."""

    def written(self, asked: Request, stream: Stream) -> int:
        """Write the stream into the channel; in the query's thread. Returns the number of rows."""
        self.headers = head_of(stream)
        write = partial(write_stream, stream, self.form, numbers=asked.numbers, control=asked.control)
        if self.encoding is None:
            return write(self._counted(self.channel.write))
        compressed = encoder(self.encoding, self.channel.write)
        try:
            rows = write(self._counted(compressed.write))
        except BaseException:
            compressed.drop()
            raise
        compressed.close()
        return rows

    def _counted(self, write: Callable[[Bytes], object]) -> Callable[[Bytes], object]:
        def counted(data: Bytes) -> object:
            self.count(len(data))
            return write(data)

        return counted

    def last_words(self, detail: str) -> bytes:
        """What is said where it breaks off; empty where the form has no room for it."""
        has_room = self.form is Format.NDJSON and self.encoding is None
        return control_line("error", detail=detail) if has_room else b""


async def send_stream(
    dependencies: Dependencies, query: Query, asked: Request, form: Format, request: web.Request
) -> web.StreamResponse:
    """Answer a query as a stream.

    Raises
    ------
    K2Error
        The query failed before its first byte.
    QueryCancelledError
        The client went away.
    BrokenOffError
        It failed later.
    """
    encoding = None if form is Format.PARQUET else chosen(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    sending = _Sending(form, encoding, count=partial(count_bytes, dependencies.metrics.query, query.name))
    running = dependencies.engine.submit_stream(query, asked, partial(sending.written, asked))
    return await send(request, sending, running, dependencies.idle_s)


async def send(
    request: web.Request, sending: _Sending, running: Running[int], idle_s: float
) -> web.StreamResponse:
    """Send what a query writes into its channel."""
    answer = future_of(running)
    answer.add_done_callback(lambda _: sending.channel.end())
    try:
        await _some(request, sending.channel)
        if sending.channel.is_done:
            result_of(answer)
        response = await _begin(request, sending)
        if request.method == hdrs.METH_HEAD:
            # What aiohttp is given to send, it sends: the client would take it for its next answer.
            return response
        try:
            await _pass_on(request, response, sending.channel, idle_s)
            result_of(answer)
        except Exception as error:
            # Whatever it is: a problem document would stand in the middle of the rows.
            await break_off(request, response, error, idle_s, sending.last_words)
            raise BrokenOffError(response) from error
        return response
    finally:
        sending.channel.close()
        if not answer.done():
            running.cancel()


async def _begin(request: web.Request, sending: _Sending) -> web.StreamResponse:
    charset = "; charset=utf-8" if sending.form in TEXTS else ""
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: MEDIA_TYPES[sending.form] + charset, **sending.headers}
    )
    if sending.encoding is not None:
        response.headers[hdrs.CONTENT_ENCODING] = sending.encoding
    await prepare(request, response)
    return response


async def prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Send the head.

    Raises
    ------
    QueryCancelledError
        The client went away.
    """
    try:
        await response.prepare(request)
    except ConnectionError as error:
        raise QueryCancelledError("the client went away") from error


async def _some(request: web.Request, channel: Channel) -> None:
    """Wait until the channel has something."""
    waiting = asyncio.ensure_future(channel.wait())
    try:
        while not (await asyncio.wait({waiting}, timeout=LOOK_EVERY_S))[0]:
            check_there(request)
    finally:
        waiting.cancel()


async def _pass_on(
    request: web.Request, response: web.StreamResponse, channel: Channel, idle_s: float
) -> None:
    while not channel.is_done:
        await _some(request, channel)
        data = memoryview(channel.read())
        for start in range(0, len(data), PIECE_BYTES):
            await _write(response, data[start : start + PIECE_BYTES], idle_s)


async def write_all(response: web.StreamResponse, data: Bytes, idle_s: float) -> None:
    """Send bytes, as fast as the client takes them.

    Raises
    ------
    SlowClientError
        It takes too little.
    QueryCancelledError
        It went away.
    """
    whole = memoryview(data)
    for start in range(0, len(whole), PIECE_BYTES):
        await _write(response, whole[start : start + PIECE_BYTES], idle_s)


async def _write(response: web.StreamResponse, data: memoryview, idle_s: float) -> None:
    try:
        async with asyncio.timeout(idle_s):
            await response.write(data)
    except TimeoutError as error:
        raise SlowClientError(
            f"the client took less than {PIECE_BYTES} bytes in {idle_s:g} s (K2_WEB_IDLE_S)"
        ) from error
    except ConnectionError as error:
        raise QueryCancelledError("the client went away") from error


async def break_off(
    request: web.Request,
    response: web.StreamResponse,
    error: Exception,
    idle_s: float,
    last_words: Callable[[str], bytes],
) -> None:
    """Say what went wrong where the form has room for it, and cut the connection.

    Parameters
    ----------
    last_words
        What is sent before the cut, of what went wrong; empty: nothing.
    """
    told = _told(request, error)
    transport = request.transport
    if transport is None:
        return
    if isinstance(error, QueryTimeoutError):
        # Who takes nothing does not take the rest either.
        transport.abort()
        return
    if (words := last_words(told)) and not transport.is_closing():
        with suppress(QueryCancelledError, QueryTimeoutError):
            # Who does not take them sees the cut.
            await _write(response, memoryview(words), idle_s)
    transport.close()


def _told(request: web.Request, error: Exception) -> str:
    """What the client is told; the log has all of it."""
    if isinstance(error, K2Error):
        logs.get(__name__).warning("answer broken off", path=request.path, error=str(error))
        return without_passwords(str(error))
    logs.get(__name__).error("answer broken off", path=request.path, exc_info=error)
    return "something went wrong; the log has it"
