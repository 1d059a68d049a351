"""The spans of an ingest: one for each batch it takes, one for each flush, whose steps stand below it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from k2app import tracing
from k2app.ingest.buffer import Buffer
from k2app.stream.record_batch import RecordBatch


def batch_span(batch: RecordBatch) -> AbstractContextManager[object]:
    """Span of one batch, from when an agent hands it over until it is buffered."""
    return tracing.root_span(
        "batch",
        topic=batch.topic,
        partition=batch.partition,
        first_offset=batch.first_offset,
        records=len(batch),
    )


def flush_span(buffer: Buffer, commit_id: str) -> AbstractContextManager[object]:
    """Span of one flush: a trace of its own, since it serves many batches."""
    return tracing.root_span("flush", table=str(buffer.name), records=buffer.records, commit_id=commit_id)
