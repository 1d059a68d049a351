"""An answer from its first batch to its last, over as many requests as that takes.

Long answers of trades and quotes come in stretches: each ends with the cursor of the next, on the same snapshots.
Where the connection breaks, the stretch is asked for again, and the rows of it that were handed out are passed over;
the same question has the same answer on the same snapshots, so nothing is lost or doubled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from k2app.client.arrow_stream import ArrowStream
from k2app.client.connection import Connection
from k2app.client.course import Course
from k2app.client.parameters import Texts
from k2app.client.pins import is_pinned, pins
from k2app.client.questions import Question
from k2app.errors import K2Error, OperatorError
from k2app.query.answers.formats import Format


class AnswerCourse(Course[ArrowStream, pa.RecordBatch]):
    """What has been read of an answer, and where it goes on.

    Parameters
    ----------
    connection
        The server.
    question, texts
        What is asked.
    stretch_rows
        Rows of a request, where the query is paged; None: all.

    Raises
    ------
    K2Error
        The question cannot be answered.
    """

    def __init__(
        self, connection: Connection, question: Question, texts: Texts, stretch_rows: int | None
    ) -> None:
        self._question = question
        self._texts = texts
        self._is_limited = any(name == "limit" for name, _ in texts)
        is_stretched = question.is_paged and not self._is_limited
        self._stretch_rows = stretch_rows if is_stretched else None
        self._cursor: str | None = None
        self.next: str | None = None
        """Cursor of what follows, where a limit ended the answer; known after the last batch."""
        self.schema: pa.Schema | None = None
        self.said: Mapping[str, Any] = {}
        super().__init__(connection)

    def _next(self, source: ArrowStream) -> pa.RecordBatch | None:
        while (batch := source.read()) is not None:
            rows = self._new_rows(batch, source.cursor)
            if rows.num_rows:
                return rows
        self._end_stretch(source)
        return None

    def _new_rows(self, batch: pa.RecordBatch, cursor: str | None) -> pa.RecordBatch:
        again = min(batch.num_rows, self._handed_out - self._passed_over)
        self._passed_over += again
        rows = batch.slice(again)
        self._handed_out += rows.num_rows
        self._passed_over += rows.num_rows
        if cursor is not None:
            # A place of its own: nothing before it has to be asked for again.
            self._cursor, self._handed_out, self._passed_over = cursor, 0, 0
        return rows

    def _end_stretch(self, stream: ArrowStream) -> None:
        if self._passed_over < self._handed_out:
            raise self._changed()
        self._handed_out = 0
        self._cursor = stream.next
        if stream.next is None or self._stretch_rows is None:
            self.next, self.ended = stream.next, True

    def _opened(self) -> ArrowStream:
        path, texts = self._question.address(self._asked())
        stream = ArrowStream(self._connection, self._connection.open(path, texts, Format.ARROW))
        if self.schema is None:
            self.schema, self.said = stream.schema, stream.said
        elif (stream.schema, stream.said["snapshots"]) != (self.schema, self.said["snapshots"]):
            stream.close()
            raise self._changed()
        self._passed_over = 0
        return stream

    def _asked(self) -> Texts:
        """Parameters of the next request; those of the cursor are those of the page before it."""
        limit = [] if self._stretch_rows is None else [("limit", str(self._stretch_rows))]
        if self._cursor is not None:
            others = [entry for entry in self._texts if entry[0] != "cursor"]
            return [*others, ("cursor", self._cursor), *limit]
        if self.schema is not None:
            self._texts = [*self._texts, *self._pin()]
        return [*self._texts, *limit]

    def _pin(self) -> Texts:
        """The snapshots of the first request, where it had the newest.

        Not where there is a limit: whoever asked goes on with the cursor, and without the pin.
        """
        if self._is_limited or not self._question.takes_pins or is_pinned(self._texts):
            return []
        return [("snapshots", pins(self.said["snapshots"]))]

    def _changed(self) -> K2Error:
        return OperatorError(
            f"the answer to {self._question.name} broke off and is another one now; ask anew, with a snapshot"
        )
