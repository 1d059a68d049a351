"""What a query is: its name, what it takes, and how it is answered; the same for HTTP, command line and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from k2app.query.answers.result import Result
from k2app.query.answers.stream import Stream
from k2app.query.reading.reader import Reader
from k2app.query.requests import Request


@dataclass(frozen=True)
class Query:
    """A query by name.

    Parameters
    ----------
    name
        Command of `k2-query`, and label of metrics.
    path
        Where HTTP serves it; parameters in braces are the command's arguments, in that order.
    about
        What it answers, in one sentence.
    request
        Its parameters.
    read
        Answers a request.
    columns
        Columns of a table on a terminal; none: all.
    examples
        Command lines for `--help`, without the `k2-query` before them.
    stream
        Answers a request with rows that may be more than memory holds; without it, page after page is read.
    schema
        Arrow schema of the rows, for documents; None: it depends on the request.
    """

    name: str
    path: str
    about: str
    request: type[Request]
    read: Callable[[Reader, Any], Result]
    columns: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    stream: Callable[[Reader, Any], Stream] | None = None
    schema: pa.Schema | None = None
