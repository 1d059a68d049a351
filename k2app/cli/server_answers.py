"""A server's answers as the engine's own."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from k2app.client import Answer, Opened
from k2app.query.answers.result import Notice, Result
from k2app.query.answers.stream import Stream
from k2app.query.times import EPOCH, MICROSECOND


def answer_to_result(answer: Answer) -> Result:
    """Read an answer to its end, as a page."""
    rows = answer.arrow()
    return Result(rows, answer.snapshots, _as_of_us(answer), answer.next, _notices(answer))


def answer_to_stream(answer: Answer) -> Stream:
    """The batches of an answer as a stream."""
    stream = opened_to_head(answer, answer.schema)
    stream.batches = _batches(answer, stream)
    return stream


def opened_to_head(opened: Opened, schema: pa.Schema | None = None) -> Stream:
    """What is said of rows, without them."""
    shown = pa.schema([]) if schema is None else schema
    return Stream(shown, iter(()), opened.snapshots, _as_of_us(opened), _notices(opened))


def _batches(answer: Answer, stream: Stream) -> Iterator[pa.RecordBatch]:
    yield from answer.batches()
    stream.next = answer.next


def _as_of_us(opened: Opened) -> int | None:
    return None if opened.as_of is None else (opened.as_of - EPOCH) // MICROSECOND


def _notices(opened: Opened) -> tuple[Notice, ...]:
    return tuple(Notice(one.code, one.message, one.count) for one in opened.warnings)
