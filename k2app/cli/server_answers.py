"""A server's answers as the engine's own."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from k2app.client import Answer
from k2app.query.answers.result import Notice, Result
from k2app.query.answers.stream import Stream
from k2app.query.times import EPOCH, MICROSECOND


def answer_to_result(answer: Answer) -> Result:
    """Read an answer to its end, as a page."""
    rows = answer.arrow()
    return Result(rows, answer.snapshots, _as_of_us(answer), answer.next, _notices(answer))


def answer_to_stream(answer: Answer) -> Stream:
    """The batches of an answer as a stream."""
    stream = Stream(answer.schema, iter(()), answer.snapshots, _as_of_us(answer), _notices(answer))
    stream.batches = _batches(answer, stream)
    return stream


def _batches(answer: Answer, stream: Stream) -> Iterator[pa.RecordBatch]:
    yield from answer.batches()
    stream.next = answer.next


def _as_of_us(answer: Answer) -> int | None:
    return None if answer.as_of is None else (answer.as_of - EPOCH) // MICROSECOND


def _notices(answer: Answer) -> tuple[Notice, ...]:
    return tuple(Notice(one.code, one.message, one.count) for one in answer.warnings)
