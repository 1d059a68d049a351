"""Waiting for a query, or for its client to go away."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from aiohttp import web

from k2app.errors import TransientError
from k2app.query.reading.pool import QueryCancelledError, Running

LOOK_EVERY_S = 0.1
"""Seconds between looks at whether the client is still there."""

T = TypeVar("T")


async def answer_of(request: web.Request, running: Running[T]) -> T:
    """Wait for the answer. If the client goes away, the query is stopped.

    Raises
    ------
    QueryCancelledError
        The client went away.
    K2Error
        What the query raised.
    """
    answer = future_of(running)
    try:
        while not (await asyncio.wait({answer}, timeout=LOOK_EVERY_S))[0]:
            check_there(request)
    except (asyncio.CancelledError, QueryCancelledError):
        running.cancel()
        raise
    return result_of(answer)


def future_of(running: Running[T]) -> asyncio.Future[T]:
    """The answer on the event loop; an error that nobody waits for any more is taken note of."""
    answer = asyncio.wrap_future(running.future)
    answer.add_done_callback(_look_at)
    return answer


def result_of(answer: asyncio.Future[T]) -> T:
    """What an ended future holds.

    Raises
    ------
    TransientError
        It was thrown away before it began.
    """
    if answer.cancelled():
        raise TransientError("the server is stopping")
    return answer.result()


def check_there(request: web.Request) -> None:
    """Go on only while the client keeps the connection.

    Raises
    ------
    QueryCancelledError
        It closed it.
    """
    if request.transport is None or request.transport.is_closing():
        raise QueryCancelledError("the client went away")


def _look_at(answer: asyncio.Future[T]) -> None:
    if not answer.cancelled():
        answer.exception()
