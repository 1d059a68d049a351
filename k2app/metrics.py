"""Every Prometheus metric of K2: name, labels, help, in one place.

A `Metrics` object is made once per process over one registry and handed down; nothing here is global. Values that
somebody holds anyway (a queue's length, free space) are asked for at each scrape (`Gauge.set_function`), or looked up
every few seconds; only what happens is counted where it happens, once a batch, flush, query or request, never once
a record.

No label takes symbols or other values without bound; `top_open_gaps` has the few symbols that a setting allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of duration buckets, seconds: from a cached point query to the slowest commit that is waited for."""

ROWS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0)
"""Upper bounds of row-count buckets: from a quiet market's flush to K2_FLUSH_MAX_ROWS and beyond."""


class Series:
    """A gauge whose series come and go: what a partition showed must not stand there once it is another worker's.

    Several may write to one gauge, each to labels of its own. Not for use by several threads at once.
    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: set[tuple[str, ...]] = set()

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Make these, by their labels, all the series that this one shows."""
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        for labels in self._shown - values.keys():
            self._gauge.remove(*labels)
        self._shown = set(values)


class RisingGauge(Gauge):
    """A gauge that never falls. Not for use by several threads at once."""

    def rise(self, value: float) -> None:
        """Show `value`, unless a higher one was shown before."""
        self.set(max(value, self._value.get()))


class _Asked(Collector):
    """Has gauges brought up to date before they are read; has no metrics of its own."""

    def __init__(self) -> None:
        self.tell: list[Callable[[], None]] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Nothing, after whoever holds values has told them."""
        for tell in self.tell:
            tell()
        return ()


class _Group:
    """Metrics over one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)


class IngestMetrics(_Group):
    """From the log to the buffer: what was read, decoded, judged."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.records_in = self._counter("k2_records_in", "Records read from the log.", "table", "topic")
        self.record_bytes_in = self._counter(
            "k2_record_bytes_in", "Bytes of record values read from the log.", "table", "topic"
        )
        self.batches_in = self._counter("k2_batches_in", "Fetches handed to ingest.", "table", "topic")
        self.redelivered = self._counter(
            "k2_records_redelivered", "Records delivered again that were read already, and dropped.", "table"
        )
        self.decode_seconds = self._histogram(
            "k2_decode_seconds", "Time to decode one batch and check its sequences.", "table"
        )
        self.decode_failures = self._counter(
            "k2_decode_failures", "Records that could not be read, by kind of failure.", "table", "reason"
        )
        self.stood_down = self._counter(
            "k2_stand_downs",
            "Times that reading a batch failed and everything was read again from the lake's end, by outcome.",
            "table",
            "outcome",
        )
        self.buffered_rows = self._gauge("k2_buffered_rows", "Rows read and not committed yet.", "table")
        self.buffered_bytes = self._gauge(
            "k2_buffered_bytes", "Bytes of the Arrow buffers of rows read and not committed yet.", "table"
        )
        self.oldest_unflushed = self._gauge(
            "k2_oldest_unflushed_seconds",
            "Age of the oldest row in memory; 0: there is none. Rows that are thrown away to be read again begin anew.",
            "table",
        )
        self.commit_age = self._gauge(
            "k2_commit_age_seconds",
            "Time for which nothing was committed though the lake lacks something; 0: it lacks nothing.",
            "table",
        )
        self.tracked_states = self._gauge(
            "k2_sequence_states", "Sequence states (symbol and scope) held by this worker.", "table"
        )
        self.open_gaps = self._gauge(
            "k2_open_gaps", "Open gaps in the sequences of this worker's partitions.", "table", "topic"
        )
        self.top_open_gaps = self._gauge(
            "k2_open_gaps_of_symbol",
            "Open gaps of the symbols that have most of them (K2_METRICS_TOP_SYMBOLS).",
            "table",
            "topic",
            "symbol",
        )
        self.paused = self._gauge(
            "k2_ingest_paused", "1 while reading is paused to protect the process, by what for.", "reason"
        )
        self.pauses = self._counter(
            "k2_ingest_pauses", "Times that reading was paused to protect the process, by what for.", "reason"
        )


class FlushMetrics(_Group):
    """From the buffer to the lake."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.rows = self._counter("k2_rows_committed", "Rows committed to the lake.", "table", "flag")
        self.gap_events = self._counter(
            "k2_gap_events", "Sequence gap events committed.", "table", "event", "severity"
        )
        self.missing_numbers = self._counter(
            "k2_gap_numbers", "Sequence numbers in the gap events committed, by event.", "table", "event"
        )
        self.hole_offsets = self._counter(
            "k2_hole_offsets",
            "Offsets given up by what was committed: gone from the log before the lake had them.",
            "table",
        )
        self.dead_letters = self._counter(
            "k2_dead_letters", "Records committed to the dead letters.", "table"
        )
        self.seconds = self._histogram("k2_flush_seconds", "Time of one flush, by step.", "table", "step")
        self.rows_each = self._histogram("k2_flush_rows", "Rows of one flush.", "table", buckets=ROWS)
        self.files = self._counter("k2_flush_files", "Data files written and committed.", "table")
        self.bytes = self._counter(
            "k2_flush_bytes", "Bytes of the data files written and committed.", "table"
        )
        self.outcomes = self._counter(
            "k2_commits",
            "Flushes, by outcome: committed, fenced, unknown, failed.",
            "table",
            "outcome",
        )
        self.conflicts = self._counter(
            "k2_commit_conflicts", "Attempts of commits that another commit had overtaken.", "table"
        )
        self.doubts = self._counter(
            "k2_commit_doubts", "Attempts of commits whose outcome was not known, and looked up.", "table"
        )
        self.attempts = self._counter("k2_commit_attempts", "Attempts of commits.", "table")
        self.last_commit = self._gauge(
            "k2_last_commit_timestamp_seconds", "When this process's newest commit was made.", "table"
        )
        self.last_event = RisingGauge(
            "k2_last_event_timestamp_seconds",
            "Newest event time of all that this process committed.",
            ("table",),
            registry=registry,
        )


class LakeMetrics(_Group):
    """The tables as they are in the catalog, and who answers for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.snapshots = self._gauge("k2_table_snapshots", "Snapshots kept.", "table")
        self.rows = self._gauge("k2_table_rows", "Rows of the current snapshot.", "table")
        self.files = self._gauge("k2_table_files", "Data files of the current snapshot.", "table")
        self.bytes = self._gauge("k2_table_bytes", "Bytes of the current snapshot's data files.", "table")
        self.floor = self._gauge(
            "k2_committed_offset", "Next offset that the lake expects (its floor).", "topic", "partition"
        )
        self.catalog_seconds = self._histogram(
            "k2_catalog_request_seconds",
            "Time of one request to the catalog, and of what is read or written in the warehouse for it.",
            "operation",
        )
        self.catalog_errors = self._counter(
            "k2_catalog_errors",
            "Requests to the catalog that failed, for want of the warehouse or of the catalog; conflicts aside.",
            "operation",
        )
        self.disk_free = self._gauge(
            "k2_disk_free_bytes", "Free space where K2 writes, by what is there (home, warehouse).", "place"
        )


class LogMetrics(_Group):
    """The message log: how far behind, whose partitions, what Faust's sensors say."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.lag_records = self._gauge(
            "k2_lag_records", "Records in the log and not in the lake.", "topic", "partition"
        )
        self.lag_seconds = self._gauge(
            "k2_lag_seconds",
            "Age of the oldest record that was seen in the log and is not in the lake; 0: there is none.",
            "topic",
            "partition",
        )
        self.pending_write = self._gauge(
            "k2_pending_write_records", "Records read and not in the lake.", "topic", "partition"
        )
        self.pending_commit = self._gauge(
            "k2_pending_commit_records",
            "Records in the lake below which no offset is committed to the log yet.",
            "topic",
            "partition",
        )
        self.assigned = self._gauge("k2_assigned_partitions", "Partitions of this worker.", "topic")
        self.batch_seconds = self._histogram(
            "k2_batch_seconds",
            "Time from handing a fetch to an agent until it was acknowledged: it is in the lake.",
            "topic",
        )
        self.rebalances = self._counter("k2_rebalances", "Times that partitions were dealt out anew.")
        self.rebalance_seconds = self._histogram(
            "k2_rebalance_seconds", "Time from giving partitions up to having the new ones."
        )
        self.stale_batches = self._counter(
            "k2_stale_batches", "Fetches thrown away: their partition was rewound or given up meanwhile."
        )
        self.offset_commit_seconds = self._histogram(
            "k2_offset_commit_seconds", "Time of one commit of offsets to the log."
        )
        self.offset_commit_failures = self._counter(
            "k2_offset_commit_failures", "Commits of offsets to the log that failed; the floor counts."
        )
        self.waiting = self._gauge(
            "k2_waiting",
            "1 while a part of the worker waits for what does not answer; /health/ready says for what.",
            "part",
        )
        self.bytes = self._gauge("k2_log_bytes", "Bytes of the embedded log's files.")
        self.trimmed = self._counter("k2_log_trimmed_records", "Records trimmed from the embedded log.")
        self.state_writes = self._counter(
            "k2_state_writes", "Sequence states and watermarks written to the changelog.", "table"
        )
        self.state_write_seconds = self._histogram(
            "k2_state_write_seconds", "Time until the changelog confirmed a flush's states.", "table"
        )
        self.states_restored = self._counter(
            "k2_states_restored",
            "Partitions whose states were restored, by what the stored ones were worth.",
            "table",
            "stored",
        )
        self.recovery_seconds = self._histogram(
            "k2_recovery_seconds", "Time to restore a worker's partitions from table and lake.", "table"
        )
        self.rocksdb_bytes = self._gauge("k2_rocksdb_bytes", "Bytes of the RocksDB files, by topic.", "topic")


class RegistryMetrics(_Group):
    """The schema registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.requests = self._counter(
            "k2_registry_requests", "Schemas asked for by id: found, unknown, failed.", "outcome"
        )
        self.seconds = self._histogram("k2_registry_request_seconds", "Time of one request.")
        self.schemas = self._gauge("k2_registry_schemas", "Writers' schemas known to this process.")


class QueryMetrics(_Group):
    """Queries and replays."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.queries = self._counter(
            "k2_queries",
            "Queries, by resource and outcome: answered, refused, busy, timeout, slow_client, cancelled, failed.",
            "resource",
            "outcome",
        )
        self.seconds = self._histogram("k2_query_seconds", "Time of one query.", "resource")
        self.rows = self._counter("k2_query_rows", "Rows returned.", "resource")
        self.bytes = self._counter("k2_query_bytes", "Bytes of answers, before compression.", "resource")
        self.scanned_rows = self._counter(
            "k2_query_scanned_rows", "Rows of the data files that were planned to be read.", "resource"
        )
        self.scanned_bytes = self._counter(
            "k2_query_scanned_bytes", "Bytes of the data files that were planned to be read.", "resource"
        )
        self.running = self._gauge("k2_queries_running", "Queries that run.")
        self.queued = self._gauge("k2_queries_queued", "Queries that wait for a thread.")
        self.streams = self._gauge("k2_query_streams_open", "Streams of rows that are being read.")
        self.plans = self._counter(
            "k2_query_plans", "Plans (snapshot to files) made, or found in the cache.", "outcome"
        )
        self.replays = self._gauge("k2_replays_running", "Replays being sent.")
        self.replay_rows = self._counter("k2_replay_rows", "Rows replayed.")
        self.replay_bytes = self._counter("k2_replay_bytes", "Bytes of replays, before compression.")
        self.duckdb_memory = self._gauge("k2_duckdb_memory_bytes", "Memory that DuckDB holds.")
        self.duckdb_spill = self._gauge("k2_duckdb_spill_bytes", "Bytes that DuckDB has on disk for now.")


class WebMetrics(_Group):
    """HTTP."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.requests = self._counter(
            "k2_http_requests", "HTTP requests, by route and status.", "route", "status"
        )
        self.seconds = self._histogram("k2_http_request_seconds", "Time of one HTTP request.", "route")
        self.in_flight = self._gauge("k2_http_requests_in_flight", "HTTP requests being answered.")
        self.limited = self._counter(
            "k2_http_limited", "Requests refused by a limit: rate, concurrency, busy.", "limit"
        )
        self.unauthorised = self._counter(
            "k2_http_unauthorised", "Requests refused for their key: missing, wrong, scope.", "reason"
        )
        self.bytes = self._counter("k2_http_response_bytes", "Bytes of response bodies, as sent.", "route")


class ProcessMetrics(_Group):
    """The process itself, beside what Prometheus's own collector says of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.info = self._gauge(
            "k2_build_info",
            "Always 1; versions are in the labels.",
            "version",
            "python",
            "duckdb",
            "pyiceberg",
        )
        self.ready = self._gauge(
            "k2_ready", "Whether /health/ready would answer 200, when it was last asked."
        )
        self.loop_delay = self._histogram(
            "k2_event_loop_delay_seconds", "How much later than asked for the event loop woke up."
        )
        self.clock = self._gauge(
            "k2_clock_timestamp_seconds", "Wall clock of this process when it is scraped."
        )
        self.memory_used = self._gauge(
            "k2_memory_used_bytes",
            "Memory that the system cannot take back (resident, not shared); 0: it does not say.",
        )
        self.memory_limit = self._gauge(
            "k2_memory_limit_bytes",
            "Used memory from which on a worker reads more slowly (K2_MEMORY_LIMIT_BYTES).",
        )
        self.looked = self._gauge(
            "k2_look_timestamp_seconds",
            "When what is looked at every K2_METRICS_LOOK_S last brought its gauges up to date; at first, the start.",
            "what",
        )
        self.log_lines = self._counter("k2_log_lines", "Log lines written, by level.", "level")


class LoadMetrics(_Group):
    """The loader, whose process is not scraped: see K2_LOAD_METRICS_FILE."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.rows = self._counter(
            "k2_load_rows", "Rows of loaded files: sent, rejected.", "exchange", "type", "outcome"
        )
        self.bytes = self._counter("k2_load_bytes", "Bytes of files read.", "exchange", "type")
        self.seconds = self._gauge("k2_load_duration_seconds", "Time of the load.", "exchange", "type")
        self.finished = self._gauge(
            "k2_load_last_success_timestamp_seconds", "When the load ended well.", "exchange", "type"
        )


class Metrics:
    """What a worker or a web-only process tells of itself, over `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._asked = _Asked()
        # Before all others: a registry asks its collectors in the order in which they came.
        registry.register(self._asked)
        self.ingest = IngestMetrics(registry)
        self.flush = FlushMetrics(registry)
        self.lake = LakeMetrics(registry)
        self.log = LogMetrics(registry)
        self.schemas = RegistryMetrics(registry)
        self.query = QueryMetrics(registry)
        self.web = WebMetrics(registry)
        self.process = ProcessMetrics(registry)

    def before_scrape(self, tell: Callable[[], None]) -> None:
        """Have `tell` called at the beginning of every scrape, on its thread; it must not block."""
        self._asked.tell.append(tell)
