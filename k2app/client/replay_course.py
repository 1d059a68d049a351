"""A replay from its first line to its last; the lines are described in `k2app.query.replay.replay`.

Every progress line has a token. Where the connection breaks, the replay is asked for again from the last one, and what
was handed out since then is passed over; the order is total, so nothing is lost or doubled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2app.client.connection import Connection
from k2app.client.course import Course
from k2app.client.parameters import Texts
from k2app.client.replay_lines import Line, ReplayLines, Tally
from k2app.errors import OperatorError
from k2app.query.answers.formats import Format

PATH = "/v1/replay"


class ReplayCourse(Course[ReplayLines, bytes]):
    """What has been read of a replay, and where it goes on.

    Its pieces are lines, as if one request had brought them all: rows, gaps, progress to another place, and the end.

    Parameters
    ----------
    connection
        The server.
    texts
        What is asked.

    Raises
    ------
    K2Error
        The question cannot be answered.
    """

    def __init__(self, connection: Connection, texts: Texts) -> None:
        self._texts = texts
        self._tally = Tally()
        self.said: Mapping[str, Any] = {}
        self.start = b""
        """The first line."""
        self.token = ""
        """Place at or before the last row or gap that was handed out."""
        super().__init__(connection)

    def _next(self, source: ReplayLines) -> bytes | None:
        while not self.ended:
            piece = self._taken(*source.read())
            if piece is not None:
                return piece
        return None

    def _taken(self, raw: bytes, told: Line | None) -> bytes | None:
        kind = None if told is None else told["control"]
        if told is None or kind == "gap":
            return self._new(raw, is_row=told is None)
        if kind == "progress":
            return self._tally.told(told) if self._is_new(told["cursor"]) else None
        if kind == "end":
            self.ended = True
            return self._tally.told(told)
        return None

    def _new(self, raw: bytes, *, is_row: bool) -> bytes | None:
        self._passed_over += 1
        if self._passed_over <= self._handed_out:
            return None
        self._handed_out = self._passed_over
        if is_row:
            self._tally.take(raw)
        return raw

    def _is_new(self, token: str) -> bool:
        """Take a token, where everything up to it was handed out; whether it is another place."""
        if self._passed_over < self._handed_out or token == self.token:
            return False
        self.token, self._handed_out, self._passed_over = token, 0, 0
        return True

    def _opened(self) -> ReplayLines:
        lines = ReplayLines(self._connection, self._connection.open(PATH, self._asked(), Format.NDJSON))
        try:
            self._begin(*lines.read())
        except BaseException:
            lines.close()
            raise
        return lines

    def _begin(self, raw: bytes, start: Line | None) -> None:
        if start is None or start["control"] != "start":
            raise OperatorError(f"{self._connection.url} sent no replay: is it a K2 server?")
        if self.said and start["snapshots"] != self.said["snapshots"]:
            raise OperatorError("the replay broke off and is another one now; ask anew, with a snapshot")
        if not self.said:
            self.said, self.start, self.token = start, raw, start["cursor"]
        self._passed_over = 0

    def _asked(self) -> Texts:
        if not self.token:
            return self._texts
        # A token pins the snapshots too.
        return [*(entry for entry in self._texts if entry[0] != "cursor"), ("cursor", self.token)]
