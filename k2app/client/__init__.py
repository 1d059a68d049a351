"""A K2 server's answers in Python: `Client(url).trades(symbol="BHP").arrow()`.

::

    client       one server's queries as calls              course        an answer over as many requests as it takes
    methods      the calls by name (written by `make docs`) arrow_stream  one request's batches, checked
    paths        where they are (likewise)                  connection    requests, keys, retries
    questions    a query's name to its path                 problems      what went wrong
    parameters   values as a URL has them                   pins          which snapshots answer
    answer, rows batches and rows on their way              replay(s)     records on their way, and the calls

Light to import: neither lake nor engine comes with it.
"""

from k2app.client.answer import Answer, Notice
from k2app.client.client import Client
from k2app.client.problems import IncompleteAnswerError, SlowAnswerError
from k2app.client.replay import Replay

__all__ = ["Answer", "Client", "IncompleteAnswerError", "Notice", "Replay", "SlowAnswerError"]
