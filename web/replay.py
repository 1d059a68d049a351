"""`/v1/replay`: a replay, as fast as it happened or as it is taken. What is sent: `k2app.query.replay.replay`.

No thread waits for a row's time: a few rows at a time are made ready in a thread, and wait on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

import faust
from aiohttp import hdrs, web

from k2app.query.answers.formats import Format
from k2app.query.beside import Bytes
from k2app.query.measures import count_bytes, count_rows
from k2app.query.reading.pool import Running, TooBusyError
from k2app.query.reading.reader import Reader
from k2app.query.replay.lines import Lines, Part
from k2app.query.replay.pace import Pace
from k2app.query.replay.query import REPLAY_QUERY
from k2app.query.replay.replay import Feed, open_replay
from k2app.query.replay.request import PACED, REPLAY_MEDIA_TYPES, ReplayFormat, ReplayRequest, replay_format
from k2app.query.replay.script import Script, gathered
from k2app.query.requests import parse
from web.dependencies import Dependencies
from web.encoding import Encoder, chosen, encoder
from web.streaming import BrokenOffError, break_off, head_of, prepare, send_stream, write_all
from web.views import add_view, measured
from web.waiting import LOOK_EVERY_S, answer_of, check_there

TICK_S = 0.001
"""Shortest wait for a row: rows that are due within it are sent together."""

BUSY_S = 0.1
"""Seconds until a step is tried again where all threads are taken."""

LAST_EVENT_ID = "Last-Event-ID"
"""Header by which a browser says which event it had last. Source: HTML, "Server-sent events", 9.2.4."""


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve it."""
    add_view(app, REPLAY_QUERY.name, REPLAY_QUERY.path, partial(_get, dependencies))


async def _get(dependencies: Dependencies, request: web.Request) -> web.StreamResponse:
    try:
        running = dependencies.metrics.query.replays.track_inprogress()
        with measured(dependencies, REPLAY_QUERY.name), running:
            return await _answer(dependencies, request)
    except BrokenOffError as broken:
        # What was sent cannot be taken back, and nothing may follow it.
        return broken.response


async def _answer(dependencies: Dependencies, request: web.Request) -> web.StreamResponse:
    asked = parse(ReplayRequest, _given(request))
    form = replay_format(asked, request.headers.get(hdrs.ACCEPT))
    if form not in PACED:
        return await send_stream(dependencies, REPLAY_QUERY, asked, Format(form), request)
    opening = dependencies.engine.submit_step(asked, partial(_opened, asked, form), stream=False)
    lines = await answer_of(request, opening)
    sending = _Sending(dependencies, request, asked, lines, _encoding(asked, form, request))
    response = await sending.begin(form)
    if request.method != hdrs.METH_HEAD:
        await sending.play()
    return response


def _given(request: web.Request) -> list[tuple[str, str]]:
    """Parameters; a browser that comes back brings the place where it was beside those that it began with."""
    given = list(request.query.items())
    last = request.headers.get(LAST_EVENT_ID)
    return given if last is None else [*((n, v) for n, v in given if n != "cursor"), ("cursor", last)]


def _opened(asked: ReplayRequest, form: ReplayFormat, reader: Reader) -> Lines:
    feed = Feed(open_replay(reader, asked))
    return Lines(feed, form, numbers=asked.numbers, control=asked.control is not False)


def _encoding(asked: ReplayRequest, form: ReplayFormat, request: web.Request) -> str | None:
    """Compression holds rows back: only where none waits for its time."""
    if asked.is_paced or form is ReplayFormat.SSE:
        return None
    return chosen(request.headers.get(hdrs.ACCEPT_ENCODING, ""))


class _Sending:
    """One replay on its way to one client."""

    def __init__(
        self,
        dependencies: Dependencies,
        request: web.Request,
        asked: ReplayRequest,
        lines: Lines,
        encoding: str | None,
    ) -> None:
        self._engine, self._idle_s = dependencies.engine, dependencies.idle_s
        self._metrics = dependencies.metrics.query
        self._request, self._asked, self._lines = request, asked, lines
        self._encoding = encoding
        self._packed: list[bytes] = []
        self._encoder: Encoder | None = None if encoding is None else encoder(encoding, self._packed.append)
        self._running: Running[Part | None] | None = None

    async def begin(self, form: ReplayFormat) -> web.StreamResponse:
        """Send the head."""
        headers = {
            hdrs.CONTENT_TYPE: f"{REPLAY_MEDIA_TYPES[form]}; charset=utf-8",
            **head_of(self._lines.replay.head()),
        }
        self._response = web.StreamResponse(headers=headers)
        if self._encoding is not None:
            self._response.headers[hdrs.CONTENT_ENCODING] = self._encoding
        await prepare(self._request, self._response)
        return self._response

    async def play(self) -> None:
        """Send everything.

        Raises
        ------
        BrokenOffError
            It failed, or the client went away.
        """
        try:
            await self._write(self._lines.start())
            await self._rows()
            await self._write(self._lines.end(), last=True)
        except Exception as error:
            # Whatever it is: a problem document would stand in the middle of the rows.
            await break_off(self._request, self._response, error, self._idle_s, self._last_words)
            raise BrokenOffError(self._response) from error

    async def _rows(self) -> None:
        script = Script(self._lines, Pace(self._asked.speed, self._asked.rate), time.monotonic())
        step = asyncio.ensure_future(self._step())
        try:
            while True:
                if script.is_empty and step.done():
                    part = step.result()
                    if part is None:
                        return
                    count_rows(self._metrics, REPLAY_QUERY.name, len(part))
                    script.take(part)
                    step = asyncio.ensure_future(self._step())
                for data in gathered(script.due(time.monotonic())):
                    await self._write(data)
                await self._wait(script, step)
        finally:
            step.cancel()
            if self._running is not None:
                self._running.cancel()

    async def _wait(self, script: Script, step: asyncio.Future[Part | None]) -> None:
        wait_s = min(LOOK_EVERY_S, script.wait_s(time.monotonic()))
        if script.is_empty:
            await asyncio.wait({step}, timeout=max(TICK_S, wait_s))
        elif wait_s > 0:
            await asyncio.sleep(max(TICK_S, wait_s))
        check_there(self._request)

    async def _step(self) -> Part | None:
        """Have the next rows made; waits while all threads are taken."""
        while True:
            try:
                self._running = self._engine.submit_step(self._asked, self._lines.step)
            except TooBusyError:
                await asyncio.sleep(BUSY_S)
            else:
                return await asyncio.wrap_future(self._running.future)

    async def _write(self, data: Bytes, *, last: bool = False) -> None:
        count_bytes(self._metrics, REPLAY_QUERY.name, len(data))
        if self._encoder is not None:
            data = await asyncio.to_thread(self._pack, self._encoder, data, last)
        if data:
            await write_all(self._response, data, self._idle_s)

    def _pack(self, packer: Encoder, data: Bytes, last: bool) -> bytes:
        packer.write(data)
        if last:
            packer.close()
        packed = b"".join(self._packed)
        self._packed.clear()
        return packed

    def _last_words(self, detail: str) -> bytes:
        """What is said where it breaks off: compressed, nothing more can be read."""
        return self._lines.error(detail) if self._encoder is None else b""
