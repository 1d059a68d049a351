"""A paged query as a stream: page after page on the same snapshots."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from k2app.query.answers.result import Result
from k2app.query.answers.stream import BATCH_ROWS, Stream, result_to_stream
from k2app.query.query import Query
from k2app.query.reading.reader import Reader
from k2app.query.requests import Request


def pages(query: Query, reader: Reader, request: Request) -> Stream:
    """Every row of a query, or as many as the limit says; warnings are those of the first page."""
    if "cursor" not in query.request.model_fields or "limit" in request.model_fields_set:
        return result_to_stream(query.read(reader, request))
    asked = request.model_copy(update={"limit": reader.max_rows})
    first = query.read(reader, asked)
    stream = result_to_stream(first)
    stream.next = None
    stream.batches = _batches(query, reader, asked, first)
    return stream


def _batches(query: Query, reader: Reader, asked: Request, first: Result) -> Iterator[pa.RecordBatch]:
    page = first
    yield from page.rows.to_batches(max_chunksize=BATCH_ROWS)
    while page.next is not None:
        page = query.read(reader, asked.model_copy(update={"cursor": page.next}))
        yield from page.rows.to_batches(max_chunksize=BATCH_ROWS)
