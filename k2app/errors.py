"""Every exception K2 raises on purpose, split by what the caller must do.

::

    K2Error
    ├── RecordError        quarantine the record (dead letters, rejects), go on with its neighbours
    ├── TransientError     retry; `retry_after_s` says how long to wait
    ├── CommitUnknownError reload the table and look for the commit id before anything else
    ├── FencedError        stand down: somebody else moved the floor; discard, re-read from it
    ├── OperatorError      stop; the message names what is wrong and what to do
    └── RequestError       the client's fault; names the parameter
        └── GoneError      what is asked for was there and has expired: ask for something else
"""

from __future__ import annotations


class K2Error(Exception):
    """Base of everything K2 raises on purpose."""


class RecordError(K2Error):
    """One record cannot be read; its neighbours are not affected."""


class TransientError(K2Error):
    """Something did not answer; the same call may succeed later.

    Parameters
    ----------
    message
        What did not answer, and what was asked of it.
    retry_after_s
        Seconds to wait before the next attempt.
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CommitUnknownError(K2Error):
    """A commit was sent and its outcome is not known; it may have landed."""


class FencedError(K2Error):
    """The floor is not where this writer left it; what it buffered is void."""


class OperatorError(K2Error):
    """A person must act; the message says how."""


class RequestError(K2Error):
    """A request cannot be answered as asked.

    Parameters
    ----------
    parameter
        Name of the offending parameter as the client wrote it.
    message
        What it got, and what it takes.
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter}: {message}")
        self.parameter = parameter
        self.detail = message


class GoneError(RequestError):
    """What is asked for is not kept any more: its snapshot has expired, perhaps while it was read."""
