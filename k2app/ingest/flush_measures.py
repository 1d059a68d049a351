"""What a flush tells the metrics, once it is in the lake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from k2app.ingest.states import StateChange
from k2app.lake.writer import Receipt, Staged
from k2app.metrics import Metrics


def count_flush(metrics: Metrics, name: str, staged: Staged, receipt: Receipt, flags: dict[str, int]) -> None:
    """Count one flush that was committed.

    Parameters
    ----------
    flags
        Its rows by sequence flag; empty where the table has none.
    """
    m, flush = metrics.flush, staged.flush
    for flag, count in (flags or {"none": flush.rows.num_rows}).items():
        m.rows.labels(name, flag).inc(count)
    for event, severity, events, missing in _by_event(flush.gaps):
        m.gap_events.labels(name, event, severity).inc(events)
        m.missing_numbers.labels(name, event).inc(missing)
    m.dead_letters.labels(name).inc(flush.dead_letters.num_rows)
    m.rows_each.labels(name).observe(flush.rows.num_rows)
    for part in staged.parts.values():
        if part.kept and part.files:
            m.files.labels(str(part.name)).inc(len(part.files))
            m.bytes.labels(str(part.name)).inc(sum(file.file_size_in_bytes for file in part.files))
    m.outcomes.labels(name, "committed").inc()
    m.last_commit.labels(name).set(receipt.committed_at_us / 1_000_000)
    if flush.rows.num_rows and "timestamp" in flush.rows.column_names:
        newest_us: int = pc.max(flush.rows["timestamp"].cast(pa.int64())).as_py()
        m.last_event.labels(name).rise(newest_us / 1_000_000)


def count_states(metrics: Metrics, name: str, changes: Sequence[StateChange]) -> None:
    """Count the states and watermarks that a flush wrote."""
    written = sum(len(change.changed) + len(change.removed) + 1 for change in changes)
    metrics.log.state_writes.labels(name).inc(written)


def _by_event(gaps: pa.Table) -> Iterable[tuple[str, str, int, int]]:
    """Event, severity, number of events, numbers in them."""
    if not gaps.num_rows:
        return []
    plain = gaps.select(["event", "severity", "missing"])
    plain = plain.set_column(0, "event", plain["event"].cast(pa.string()))
    plain = plain.set_column(1, "severity", plain["severity"].cast(pa.string()))
    found = (
        plain.group_by(["event", "severity"]).aggregate([("missing", "sum"), ([], "count_all")]).to_pylist()
    )
    return [(r["event"], r["severity"] or "none", r["count_all"], r["missing_sum"] or 0) for r in found]
