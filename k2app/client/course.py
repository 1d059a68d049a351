"""What comes from a server piece by piece, and is taken up again where the connection breaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from k2app.client.connection import Connection
from k2app.errors import OperatorError


class Source(Protocol):
    """What one request brings."""

    def close(self) -> None:
        """Give the connection back."""


From = TypeVar("From", bound=Source)

Piece = TypeVar("Piece")


class Course(ABC, Generic[From, Piece]):
    """Pieces of one answer, over as many requests as it takes.

    What is handed out counts as progress: after it, the tries begin anew. What a new request has again is passed over
    and is none, so that an answer that always breaks off at one place is not asked for without end.

    Parameters
    ----------
    connection
        The server.

    Raises
    ------
    K2Error
        The question cannot be answered.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.ended = self._closed = False
        # Pieces or rows handed out since the place where a new request begins, and those that this one has had again.
        self._handed_out = self._passed_over = 0
        self._source: From | None = connection.repeated(self._opened)

    def read(self) -> Piece | None:
        """Next piece; None after the last.

        Raises
        ------
        K2Error
            It broke off and could not be taken up again, or was closed.
        """
        while not self.ended:
            if self._closed:
                raise OperatorError("the answer was closed before its end; ask again")
            piece = self._connection.repeated(self._read)
            if piece is not None:
                return piece
        return None

    def close(self) -> None:
        """Stop here."""
        self._closed = True
        self._drop()

    @abstractmethod
    def _opened(self) -> From:
        """Ask, from where the last request got to."""

    @abstractmethod
    def _next(self, source: From) -> Piece | None:
        """Next piece that was not handed out; None: this request has no more, and `ended` says whether others have."""

    def _read(self) -> Piece | None:
        if self._source is None:
            self._source = self._opened()
        try:
            piece = self._next(self._source)
        except BaseException:
            self._drop()
            raise
        if piece is None:
            self._drop()
        return piece

    def _drop(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
