"""An answer that is written while it is read, so that it may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from k2app.query.answers.result import Notice, Result

BATCH_ROWS = 65_536
"""Rows handed on at a time: some tens of megabytes of text."""


@dataclass
class Stream:
    """Rows in batches, and what is known before the first one.

    Parameters
    ----------
    schema
        Of every batch.
    batches
        In the query's order; read once.
    snapshots, as_of_us, warnings
        As in `Result`.
    next
        Cursor of the row after the last, where a limit ended the stream; known only when `batches` has ended.
    cursor
        Gives the resume token after the batch that was yielded last; None: the stream has none.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    snapshots: Mapping[str, int | None]
    as_of_us: int | None
    warnings: tuple[Notice, ...] = ()
    next: str | None = None
    cursor: Callable[[], str] | None = None


def result_to_stream(result: Result) -> Stream:
    """A stream of rows that are all there."""
    batches = iter(result.rows.to_batches(max_chunksize=BATCH_ROWS))
    return Stream(
        result.rows.schema, batches, result.snapshots, result.as_of_us, result.warnings, result.next
    )
