"""A replay from its first line to its last; the lines are described in `k2app.query.replay.replay`.

Every progress line has a token. Where the connection breaks, the replay is asked for again from the last one, and what
was handed out since then is passed over; the order is total, so nothing is lost or doubled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from k2app.client.connection import Connection
from k2app.client.parameters import Texts
from k2app.client.problems import IncompleteAnswerError
from k2app.errors import OperatorError
from k2app.query.answers.formats import Format

PATH = "/v1/replay"

Line = dict[str, Any]


class ReplayCourse:
    """What has been read of a replay, and where it goes on.

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
        self._connection = connection
        self._texts = texts
        self.said: Line = {}
        self.token = ""
        """Place at or before the last event that was handed out."""
        # Events handed out since the token, and those of them that the running request has had again.
        self._handed_out = self._passed_over = 0
        self.ended = self._closed = False
        self._lines: _Lines | None = connection.repeated(self._opened)

    def read(self) -> Line | None:
        """Next event: a row, or a gap; None after the last.

        Raises
        ------
        K2Error
            It broke off and could not be taken up again, or was closed.
        """
        while not self.ended:
            if self._closed:
                raise OperatorError("the replay was closed before its end; ask again")
            event = self._connection.repeated(self._read)
            if event is not None:
                return event
        return None

    def close(self) -> None:
        """Stop here."""
        self._closed = True
        self._drop()

    def _read(self) -> Line | None:
        """Next event that was not handed out; None after the last.

        What is passed over on the way is no progress: a replay that always breaks off at one place must not be asked
        for without end.
        """
        if self._lines is None:
            self._lines = self._opened()
        try:
            while not self.ended:
                event = self._taken(self._lines.read())
                if event is not None:
                    return event
        except BaseException:
            self._drop()
            raise
        self._drop()
        return None

    def _taken(self, line: Line) -> Line | None:
        kind = line.get("control")
        if kind == "progress":
            self._take_token(line["cursor"])
        elif kind == "end":
            self.ended = True
        elif kind in {None, "gap"}:
            return self._new_event(line)
        return None

    def _new_event(self, line: Line) -> Line | None:
        self._passed_over += 1
        if self._passed_over <= self._handed_out:
            return None
        self._handed_out = self._passed_over
        return line

    def _take_token(self, token: str) -> None:
        # Until everything was passed over, this is a place before one that was handed out.
        if self._passed_over >= self._handed_out:
            self.token, self._handed_out, self._passed_over = token, 0, 0

    def _opened(self) -> _Lines:
        lines = _Lines(self._connection, self._connection.open(PATH, self._asked(), Format.NDJSON))
        try:
            self._begin(lines.read())
        except BaseException:
            lines.close()
            raise
        return lines

    def _begin(self, start: Line) -> None:
        if self.said and start["snapshots"] != self.said["snapshots"]:
            raise OperatorError("the replay broke off and is another one now; ask anew, with a snapshot")
        self.said = self.said or start
        self.token = self.token or start["cursor"]
        self._passed_over = 0

    def _asked(self) -> Texts:
        if not self.token:
            return self._texts
        # A token pins the snapshots too.
        return [*(entry for entry in self._texts if entry[0] != "cursor"), ("cursor", self.token)]

    def _drop(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None


class _Lines:
    """Lines of one answer, checked against the count and hash in the last."""

    def __init__(self, connection: Connection, response: httpx.Response) -> None:
        self._connection = connection
        self._response = response
        self._lines = _split(response.iter_bytes())
        self._rows = 0
        self._digest = hashlib.sha256()

    def read(self) -> Line:
        """Next line.

        Raises
        ------
        IncompleteAnswerError
            It broke off, or is not what the server sent.
        """
        with self._connection.wrapped(begun=True):
            raw = next(self._lines, b"")
        try:
            line: Line = json.loads(raw)
        except ValueError as error:
            raise self._broken(f"broke off after {self._rows} rows") from error
        if "control" not in line:
            self._rows += 1
            self._digest.update(raw)
        elif line["control"] == "error":
            raise self._broken(f"broke off after {self._rows} rows: {line['detail']}")
        elif line["control"] == "end":
            self._check(line)
        return line

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()

    def _check(self, end: Mapping[str, Any]) -> None:
        if (end["rows"], end["sha256"]) != (self._rows, self._digest.hexdigest()):
            raise self._broken(f"has not the {end['rows']} rows that the server sent")

    def _broken(self, how: str) -> IncompleteAnswerError:
        return IncompleteAnswerError(f"the replay of {self._connection.url} {how}")


def _split(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines with their ends, by line feed only: JSON may hold what else Python takes for an end."""
    held = b""
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if held:
        yield held
