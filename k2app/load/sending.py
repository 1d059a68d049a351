"""Sending a file's rows: one block is published while the next is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import stamina

from k2app.errors import OperatorError, TransientError
from k2app.load import numbering
from k2app.load.reader import Block
from k2app.load.rejects import RejectsFile
from k2app.load.request import Offsets, Progress, Report
from k2app.stream.publisher import Outlet, Publisher

PUBLISH_WITHIN_S = 120.0
"""Seconds for which a block is tried again when the log does not take it (busy, disk full)."""

PUBLISH_PAUSE_S = 0.5
"""Most seconds between two attempts: an interrupted load ends within it."""


def send(
    publisher: Publisher,
    outlet: Outlet,
    blocks: Iterable[Block],
    trading_dates: Callable[[Any], Any] | None,
    report: Report,
    rejects: RejectsFile,
    progress: Progress,
) -> None:
    """Publish blocks in their order, and write down in the report and the rejects what became of their rows.

    An exception leaves whole blocks on the log: those before the one it came in, and perhaps that one.

    Parameters
    ----------
    trading_dates
        Of rows: int32[n], by which they take `report.numbers`; None: they have their own numbers, or none.
    """
    stopping = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="publish") as threads:
        try:
            publish = partial(_publish, publisher, outlet, stopping)
            _send_blocks(
                lambda rows: threads.submit(publish, rows), blocks, trading_dates, report, rejects, progress
            )
        except BaseException:
            # Leaving the executor waits for the block under way: it must not be tried for long.
            stopping.set()
            raise


def _send_blocks(
    publish: Callable[[Any], Future[Offsets]],
    blocks: Iterable[Block],
    trading_dates: Callable[[Any], Any] | None,
    report: Report,
    rejects: RejectsFile,
    progress: Progress,
) -> None:
    cursor: numbering.Cursor = report.numbers
    pending: Future[Offsets] | None = None
    try:
        for block in blocks:
            rows = block.rows
            if trading_dates is not None:
                rows, cursor = numbering.assign(rows, trading_dates(rows), cursor)
            sent, pending = pending, None
            _note_sent(report, sent)
            pending = publish(rows)
            _note_read(report, block, rejects)
            progress("sending", report.rows, report.rejects, block.bytes_read)
    except OperatorError:
        # What broke is the file; the block before it is on its way.
        _note_sent(report, pending)
        raise
    _note_sent(report, pending)


def _publish(publisher: Publisher, outlet: Outlet, stopping: threading.Event, rows: Any) -> Offsets:
    for attempt in stamina.retry_context(
        on=lambda error: isinstance(error, TransientError) and not stopping.is_set(),
        timeout=PUBLISH_WITHIN_S,
        attempts=None,
        wait_max=PUBLISH_PAUSE_S,
    ):
        with attempt:
            return publisher.publish(outlet, rows)
    raise AssertionError("retry_context returns or raises")  # pragma: no cover - for the type checker


def _note_read(report: Report, block: Block, rejects: RejectsFile) -> None:
    report.rows += block.rows.num_rows
    report.rejects += len(block.rejects)
    report.ambiguous += block.ambiguous
    rejects.write(block.rejects)


def _note_sent(report: Report, pending: Future[Offsets] | None) -> None:
    """Wait for a block to be published, and widen the report's offsets by it."""
    for partition, (start, end) in ({} if pending is None else pending.result()).items():
        first = report.sent.get(partition, (start, end))[0]
        report.sent[partition] = (first, end)
