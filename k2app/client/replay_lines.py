"""The lines of one replay's answer, checked against the count and hash in the last: `k2app.query.replay.replay`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx

from k2app.client.connection import Connection
from k2app.client.problems import IncompleteAnswerError

Line = dict[str, Any]

_ROW = b'{"record":'
"""How a row begins; what tells of rows begins otherwise."""


def control_of(raw: bytes) -> Line | None:
    """What a line tells; None: it is a row."""
    if raw.startswith(_ROW):
        return None
    line: Line = json.loads(raw)
    return line if "control" in line else None


class ReplayLines:
    """Lines of one answer.

    Parameters
    ----------
    connection
        Where it comes from.
    response
        The answer, begun.
    """

    def __init__(self, connection: Connection, response: httpx.Response) -> None:
        self._connection = connection
        self._response = response
        self._lines = _split(response.iter_bytes())
        self._tally = Tally()

    def read(self) -> tuple[bytes, Line | None]:
        """Next line, and what it tells; None: it is a row.

        Raises
        ------
        IncompleteAnswerError
            It broke off, or is not what the server sent.
        """
        with self._connection.wrapped(begun=True):
            raw = next(self._lines, b"")
        rows = self._tally.rows
        if not raw.endswith(b"\n"):
            raise self._broken(f"broke off after {rows} rows")
        try:
            told = control_of(raw)
        except ValueError as error:
            raise self._broken(f"broke off after {rows} rows") from error
        if told is None:
            self._tally.take(raw)
        elif told["control"] == "error":
            raise self._broken(f"broke off after {rows} rows: {told['detail']}")
        elif told["control"] == "end" and not self._tally.fits(told):
            raise self._broken(f"has not the {told['rows']} rows that the server sent")
        return raw, told

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()

    def _broken(self, how: str) -> IncompleteAnswerError:
        return IncompleteAnswerError(f"the replay of {self._connection.url} {how}")


class Tally:
    """Count and hash of lines of rows."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()

    def take(self, raw: bytes) -> None:
        """Count a row."""
        self.rows += 1
        self._digest.update(raw)

    def fits(self, end: Line) -> bool:
        """Whether the line at the end tells the same."""
        return (self.rows, self._digest.hexdigest()) == (end["rows"], end["sha256"])

    def told(self, line: Line) -> bytes:
        """A line with these counts in place of its own."""
        own = {"rows": self.rows, "sha256": self._digest.hexdigest()}
        whole = {name: own.get(name, value) for name, value in line.items()}
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _split(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines with their ends, by line feed only: JSON may hold what else Python takes for an end."""
    held = b""
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if held:
        yield held
