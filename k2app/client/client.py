"""The client: one server's queries as Python calls."""

from __future__ import annotations

from typing import Self

from k2app.client.answer import Answer
from k2app.client.answer_course import AnswerCourse
from k2app.client.connection import Connection
from k2app.client.methods import Methods
from k2app.client.parameters import to_texts
from k2app.client.questions import question
from k2app.client.replay import Replay
from k2app.client.replays import Replays
from k2app.query.answers.formats import Format

TIMEOUT_S = 60.0
"""Seconds of silence: longer than a server lets a query run (K2_QUERY_TIMEOUT_S), so that its word comes first."""

RETRIES = 5
"""With a pause that doubles each time: about ten seconds, in which a server starts again."""

STRETCH_ROWS = 5_000_000
"""Rows after which a long answer goes on in a new request: what a broken connection costs at most to read again."""


class Client(Replays, Methods[Answer, Replay]):
    """Asks a server. Safe between threads; close it, or use `with`.

    Parameters
    ----------
    url
        Address of the server, such as `http://localhost:6066`.
    key
        API key, if the server asks for one (`k2 keys create`).
    timeout_s
        Seconds of silence after which a request is given up.
    retries
        How often a request is sent again that the server could not answer then, and an answer taken up that broke off.
        What was refused is never sent again.
    compress
        Whether answers travel compressed: for slow networks.
    stretch_rows
        Rows after which a long answer goes on in a new request; None: never.

    Raises
    ------
    OperatorError
        The URL is not one.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        compress: bool = False,
        stretch_rows: int | None = STRETCH_ROWS,
    ) -> None:
        self._connection = Connection(url, key, timeout_s=timeout_s, retries=retries, compress=compress)
        self._stretch_rows = stretch_rows

    def query(self, query: str, /, **parameters: object) -> Answer:
        """Ask any query by its name; the methods of this class are named after them.

        Parameters
        ----------
        query
            Name of the query.
        parameters
            As HTTP has them. Times are datetimes with a zone or text, prices Decimal or text; several values as a list;
            None is as if it was not given.

        Raises
        ------
        RequestError
            The server refuses the question; names the parameter.
        OperatorError
            The key is not good, or something must be mended at the server.
        TransientError
            The server was not reached, or could not answer now, after every retry.
        """
        return Answer(
            AnswerCourse(self._connection, question(query), to_texts(parameters), self._stretch_rows)
        )

    def json(self, query: str, /, **parameters: object) -> bytes:
        """A page of a query as the JSON document that the server writes, in UTF-8. Raises what `query` raises."""
        path, texts = question(query).address(to_texts(parameters))
        return self._connection.get(path, texts, Format.JSON)

    def close(self) -> None:
        """Close the connections; answers that are not read to their end break off."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
