"""Requests that are not let in."""

from __future__ import annotations

from collections.abc import Mapping

from k2app.errors import K2Error


class RefusedError(K2Error):
    """A request is not let in: who asks is not known, may not, or asks too much.

    Parameters
    ----------
    status
        HTTP status.
    kind
        Last part of the problem's type.
    message
        Why, and the way out.
    headers
        Headers that go with the status.
    """

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers)
