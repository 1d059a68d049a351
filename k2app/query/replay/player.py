"""Playing a replay on one thread: steps on the engine's threads, waits on the caller's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from k2app.errors import TransientError
from k2app.query.beside import Bytes
from k2app.query.engine import QueryEngine
from k2app.query.reading.ordered import Piece
from k2app.query.reading.pool import TooBusyError
from k2app.query.reading.reader import Reader
from k2app.query.replay.lines import Lines
from k2app.query.replay.pace import Pace
from k2app.query.replay.replay import Feed, Replay, open_replay
from k2app.query.replay.request import ReplayRequest
from k2app.query.replay.script import Script, gathered
from k2app.query.requests import Request

T = TypeVar("T")

BUSY_S = 0.1
"""Seconds until a step is tried again where all threads are taken."""

Clock = Callable[[], float]
"""Monotonic seconds."""

Sleep = Callable[[float], object]
"""Waits so many seconds."""


def opened(engine: QueryEngine, request: ReplayRequest) -> Replay:
    """Open a replay, and wait for it."""
    return step(engine, request, lambda reader: open_replay(reader, request))


def step(engine: QueryEngine, request: Request, work: Callable[[Reader], T], sleep: Sleep = time.sleep) -> T:
    """Do one step, and wait for it; Ctrl-C stops it.

    Raises
    ------
    TransientError
        All threads stay taken for a minute.
    """
    for _ in range(round(60 / BUSY_S)):
        with engine.interruptible():
            try:
                running = engine.submit_step(request, work)
            except TooBusyError:
                sleep(BUSY_S)
                continue
            return running.result()
    raise TransientError("too many streams are open; end one, or try again later")


def play(
    engine: QueryEngine,
    lines: Lines,
    write: Callable[[Bytes], object],
    *,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> int:
    """Write a replay's lines when they are due; returns the number of rows."""
    asked = lines.replay.request
    script = Script(lines, Pace(asked.speed, asked.rate), clock())
    write(lines.start())
    while (part := step(engine, asked, lines.step, sleep)) is not None:
        script.take(part)
        while not script.is_empty:
            wait_s = script.wait_s(clock())
            if wait_s > 0:
                sleep(wait_s)
            for data in gathered(script.due(clock())):
                write(data)
    write(lines.end())
    return script.rows


def paced(
    engine: QueryEngine, replay: Replay, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep
) -> Iterator[Piece]:
    """Rows of a replay when they are due, as many at a time as are."""
    feed, pace = Feed(replay), Pace(replay.request.speed, replay.request.rate)
    while (piece := step(engine, replay.request, feed.next, sleep)) is not None:
        times, at = piece.times, 0
        while at < len(piece):
            count = pace.due(times[at:], clock())
            if count:
                yield piece.slice(at, at + count)
                at += count
            else:
                sleep(pace.wait_s(int(times[at]), clock()))
