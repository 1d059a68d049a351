"""A K2 server's answers in Python: `Client(url).trades(symbol="BHP").arrow()`.

::

    client          one server's queries as calls       connection     requests, keys, retries
    methods         by name (written by `make docs`)    course         an answer over as many requests as it takes
    paths           where they are (likewise)           answer_course  of batches; arrow_stream: one request's
    questions       a query's name to its path          replay_course  of lines; replay_lines: one request's
    parameters      values as a URL has them            pins           which snapshots answer
    answer, rows    batches and rows on their way       problems       what went wrong
    replay, replays records and lines, how to ask       opened         what both say of themselves
    async_client    the same calls for asyncio          async_opened   what they return

Light to import: neither lake nor engine comes with it.
"""

from k2app.client.answer import Answer
from k2app.client.async_client import AsyncClient
from k2app.client.async_opened import AsyncAnswer, AsyncReplay
from k2app.client.client import Client
from k2app.client.opened import Notice, Opened
from k2app.client.problems import IncompleteAnswerError, SlowAnswerError
from k2app.client.replay import Replay, ReplayText

__all__ = [
    "Answer",
    "AsyncAnswer",
    "AsyncClient",
    "AsyncReplay",
    "Client",
    "IncompleteAnswerError",
    "Notice",
    "Opened",
    "Replay",
    "ReplayText",
    "SlowAnswerError",
]
