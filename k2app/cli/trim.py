"""`k2 trim`: retention of the embedded log by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from k2app.operate.opening import opened
from k2app.settings import Settings
from k2app.stream.log_space import Usage
from k2app.stream.retention import Cut, Keep, plan, trim

ON_KAFKA = (
    "what its topics keep is set there (kafka-configs, retention.ms); a hole that retention makes is reported"
)
"""What is said where the log is Kafka."""

WIDTH = 120
"""Columns of the page where the output is not a terminal."""


def trim_log(settings: Settings, hours: float | None, size_bytes: int | None, *, dry_run: bool) -> None:
    """Trim what may go, and print it; a worker may be running.

    Raises
    ------
    OperatorError
        There is no log or lake yet.
    """
    keep = Keep(
        settings.log.keep_hours if hours is None else hours,
        settings.log.keep_bytes if size_bytes is None else size_bytes,
    )
    console = Console() if Console().is_terminal else Console(width=WIDTH)
    with opened(settings, ON_KAFKA) as found:
        before = found.log.usage()
        cuts = plan(found.log, found.floors(), keep, time.time_ns() // 1_000)
        if not dry_run:
            trim(found.log, cuts)
        after = found.log.usage()
    if cuts:
        console.print(_table(cuts))
    console.print(_said(cuts, before, after, dry_run=dry_run), soft_wrap=True, highlight=False)


def _table(cuts: Sequence[Cut]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("topic", overflow="fold")
    for name in ("p", "records", "size", "below offset", "from (UTC)", "to (UTC)"):
        table.add_column(name, justify="right")
    for cut in cuts:
        table.add_row(
            cut.place.topic,
            str(cut.place.partition),
            f"{cut.records:,}",
            decimal(cut.size_bytes),
            f"{cut.before_offset:,}",
            _time(cut.batches[0].time_us),
            _time(cut.batches[-1].time_us),
        )
    return table


def _said(cuts: Sequence[Cut], before: Usage, after: Usage, *, dry_run: bool) -> str:
    if not cuts:
        return f"nothing to trim; the log's file has {decimal(before.file_bytes)}"
    records, size = sum(cut.records for cut in cuts), sum(cut.size_bytes for cut in cuts)
    if dry_run:
        return f"{records:,} records, {decimal(size)}, would go; nothing was changed (dry run)"
    kept = (
        ""
        if after.shrinks
        else "; the file is from before retention and keeps its size, free space is used again"
    )
    return (
        f"{records:,} records, {decimal(size)}, trimmed; the log's file went from {decimal(before.file_bytes)} to "
        f"{decimal(after.file_bytes)}{kept}"
    )


def _time(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"
