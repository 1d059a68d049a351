"""The queries about the lake itself: its history, what it covers, what could not be read."""

from __future__ import annotations

from k2app.query.coverage import completeness, dead_letters
from k2app.query.coverage.dead_letters import DeadLettersRequest
from k2app.query.coverage.range import SCHEMA as RANGE_SCHEMA
from k2app.query.coverage.range import read_range
from k2app.query.coverage.requests import CompletenessRequest, RangeRequest
from k2app.query.history import diff, history
from k2app.query.history.requests import DiffRequest, SnapshotRequest, SnapshotsRequest
from k2app.query.query import Query

SNAPSHOTS_QUERY = Query(
    "snapshots",
    "/v1/snapshots",
    "The snapshots that are kept: when, by which commit, how many rows, from which topics.",
    SnapshotsRequest,
    history.read_snapshots,
    ("table", "snapshot_id", "committed_at", "operation", "rows_added", "total_rows", "tags", "offsets"),
    ("snapshots --table trades --limit 10",),
    schema=history.SNAPSHOTS_SCHEMA,
)

DIFF_QUERY = Query(
    "diff",
    "/v1/snapshots/diff",
    "The rows that were added between two snapshots, by table, symbol and offsets.",
    DiffRequest,
    diff.read_diff,
    (),
    ("diff --from backtest-7", "diff --from 2026-01-05T00:00:00Z --to 2026-01-06T00:00:00Z --table trades"),
    schema=diff.SCHEMA,
)

SNAPSHOT_QUERY = Query(
    "snapshot",
    "/v1/snapshots/{id}",
    "One snapshot: its offsets and floor by partition, and its rows by flag.",
    SnapshotRequest,
    history.read_snapshot,
    (),
    ("snapshot 7341509632148231",),
    schema=history.SNAPSHOT_SCHEMA,
)

RANGE_QUERY = Query(
    "range",
    "/v1/range",
    "From when to when there are rows, by table and symbol.",
    RangeRequest,
    read_range,
    (),
    ("range --symbol BHP",),
    schema=RANGE_SCHEMA,
)

COMPLETENESS_QUERY = Query(
    "completeness",
    "/v1/completeness",
    "What is there of each symbol's trading dates, and what is missing.",
    CompletenessRequest,
    completeness.read_completeness,
    (
        *("symbol", "exchange", "trading_date", "state", "rows", "expected", "seen", "missing"),
        *("gaps_open", "gaps_filled", "duplicates", "conflicts", "late"),
    ),
    ("completeness --symbol BHP --start-date 2026-01-05", "completeness --exchange asx --state degraded"),
    schema=completeness.SCHEMA,
)

DEAD_LETTERS_QUERY = Query(
    "dead-letters",
    "/v1/dead-letters",
    "Records that could not be read: their bytes, the reason, and whether they were sent again.",
    DeadLettersRequest,
    dead_letters.read_dead_letters,
    ("topic", "partition", "offset", "log_timestamp", "reason", "state"),
    ("dead-letters --topic market.equities.trades.asx --output json",),
    schema=dead_letters.SCHEMA,
)

LAKE_QUERIES = (
    # Before the path that any name fits.
    SNAPSHOTS_QUERY,
    DIFF_QUERY,
    SNAPSHOT_QUERY,
    RANGE_QUERY,
    COMPLETENESS_QUERY,
    DEAD_LETTERS_QUERY,
)
"""All of them; `diff` comes before `snapshot`, whose path would take it for an id."""
