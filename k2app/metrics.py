"""Every Prometheus metric of K2: name, labels, help, in one place.

A `Metrics` object is made once by `k2app.app` over one registry and handed down; nothing here is global.
No label takes symbols or other values without bound.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of duration buckets, seconds: from a cached point query to a slow commit."""


class Metrics:
    """Metrics over `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.records_in = Counter(
            "k2_records_in", "Records read from the log.", ["table", "topic"], registry=registry
        )
        self.record_bytes_in = Counter(
            "k2_record_bytes_in",
            "Bytes of record values read from the log.",
            ["table", "topic"],
            registry=registry,
        )
        self.decode_failures = Counter(
            "k2_decode_failures", "Records that could not be read.", ["table", "topic"], registry=registry
        )
        self.decode_seconds = Histogram(
            "k2_decode_seconds",
            "Time to decode and check one batch.",
            ["table"],
            buckets=SECONDS,
            registry=registry,
        )
        self.rows_committed = Counter(
            "k2_rows_committed", "Rows committed to the lake.", ["table", "flag"], registry=registry
        )
        self.gap_events = Counter(
            "k2_gap_events",
            "Sequence gap events committed.",
            ["table", "event", "severity"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "k2_dead_letters", "Records committed to the dead letters.", ["table"], registry=registry
        )
        self.flush_seconds = Histogram(
            "k2_flush_seconds",
            "Time of one flush, by step.",
            ["table", "step"],
            buckets=SECONDS,
            registry=registry,
        )
        self.buffered_rows = Gauge(
            "k2_buffered_rows", "Rows read and not committed yet.", ["table"], registry=registry
        )
        self.commits = Counter(
            "k2_commits", "Commits to the lake, by outcome.", ["table", "outcome"], registry=registry
        )
        self.lag_records = Gauge(
            "k2_lag_records",
            "Records in the log and not in the lake.",
            ["topic", "partition"],
            registry=registry,
        )
        self.committed_offset = Gauge(
            "k2_committed_offset", "Next offset the lake expects.", ["topic", "partition"], registry=registry
        )
        self.waiting = Gauge(
            "k2_waiting",
            "1 while a part of the worker waits for what does not answer; /health/ready says for what.",
            ["part"],
            registry=registry,
        )
        self.last_commit_timestamp = Gauge(
            "k2_last_commit_timestamp_seconds",
            "When the newest commit was made.",
            ["table"],
            registry=registry,
        )
        self.queries = Counter(
            "k2_queries",
            "Queries answered, by resource and outcome.",
            ["resource", "outcome"],
            registry=registry,
        )
        self.query_seconds = Histogram(
            "k2_query_seconds", "Time of one query.", ["resource"], buckets=SECONDS, registry=registry
        )
        self.requests = Counter(
            "k2_http_requests", "HTTP requests, by route and status.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "k2_http_request_seconds",
            "Time of one HTTP request.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
