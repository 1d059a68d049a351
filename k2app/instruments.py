"""What feeds the metrics from the outside: observers that are handed down, gauges that are asked, looks."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from prometheus_client import Counter

from k2app.ingest.brake import Brake
from k2app.ingest.failure_kinds import KINDS, OTHER
from k2app.ingest.gap_gauges import GapGauges
from k2app.ingest.memory import MemoryGuard, used_bytes
from k2app.ingest.schema_cache import SchemaCache
from k2app.ingest.service import OUTCOMES, Ingest
from k2app.lake.commit import Step
from k2app.lake.fileio import local_path
from k2app.lake.observed import LIST_LOCATIONS, OPERATIONS, Observe
from k2app.lake.table_gauges import look_at_tables
from k2app.lake.tables import Name
from k2app.lake.writer import Watch as CommitWatch
from k2app.metrics import FlushMetrics, LakeMetrics, Metrics, Series
from k2app.query.engine import QueryEngine
from k2app.query.measures import OUTCOMES as QUERY_OUTCOMES
from k2app.query.queries import QUERIES
from k2app.query.replay.query import REPLAY_QUERY
from k2app.settings import MemorySettings, Settings
from k2app.sizes import look_at_disks, look_at_log, look_at_state
from k2app.stream.log_path import log_path
from k2app.stream.logs_by_url import is_kafka
from k2app.watch import Look, on_thread

LOG_WITHIN_S = 5.0
"""Seconds that the log has to say where it ends; it says so in milliseconds, or is away."""

Ready = Callable[[], Awaitable[bool]]
"""Whether the process can do its work."""


class Log(Protocol):
    """What is asked of a consumer."""

    def assignment(self) -> set[TP]:
        """Partitions that are ours."""

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Next offset of each partition, as of now."""


# --- observers


def catalog_observer(metrics: LakeMetrics) -> Observe:
    """Counts requests to the catalog."""

    def observe(operation: str, seconds: float, failed: bool) -> None:
        metrics.catalog_seconds.labels(operation).observe(seconds)
        if failed:
            metrics.catalog_errors.labels(operation).inc()

    return observe


def commit_watch(metrics: FlushMetrics) -> CommitWatch:
    """Counts attempts of commits."""
    counters = {"attempt": metrics.attempts, "conflict": metrics.conflicts, "doubt": metrics.doubts}

    def watch(name: Name, step: Step) -> None:
        counters[step].labels(name).inc()

    return watch


# --- where counters begin

TABLES = (Name.TRADES, Name.QUOTES, Name.REFERENCE_DATA)
"""Tables that rows of topics go to."""

SIDES = (Name.DEAD_LETTERS, Name.GAPS)
"""Tables that are committed to beside them."""


def begin_at_zero(metrics: Metrics) -> None:
    """Let counters be there before what they count: the first failure is an increase, not a new series."""
    for table in TABLES:
        metrics.flush.dead_letters.labels(table)
        metrics.flush.hole_offsets.labels(table)
        _begin(metrics.flush.outcomes, (table,), OUTCOMES)
        _begin(metrics.ingest.stood_down, (table,), OUTCOMES[1:])
        _begin(metrics.ingest.decode_failures, (table,), [*(kind for kind, _ in KINDS), OTHER])
    for table in (*TABLES, *SIDES):
        for counter in (metrics.flush.attempts, metrics.flush.conflicts, metrics.flush.doubts):
            counter.labels(table)
    _begin(metrics.ingest.pauses, (), ("memory", "disk"))
    _begin(metrics.schemas.requests, (), ("found", "unknown", "failed"))


def begin_web_at_zero(metrics: Metrics) -> None:
    """The same for queries and HTTP, and for what every process has."""
    _begin(metrics.web.limited, (), ("rate", "concurrency", "busy"))
    _begin(metrics.web.unauthorised, (), ("missing", "wrong", "scope"))
    _begin(metrics.query.plans, (), ("made", "found"))
    for query in (*QUERIES, REPLAY_QUERY):
        _begin(metrics.query.queries, (query.name,), QUERY_OUTCOMES)
    _begin(metrics.lake.catalog_errors, (), (*OPERATIONS, LIST_LOCATIONS))
    _begin(metrics.process.log_lines, (), ("debug", "info", "warning", "error", "critical"))


def _begin(counter: Counter, labels: tuple[str, ...], values: Iterable[str]) -> None:
    for value in values:
        counter.labels(*labels, value)


# --- gauges that are asked at every scrape


def tell_process(metrics: Metrics, memory: MemorySettings) -> None:
    """Say which versions run, by which clock, and how much memory they take and may take."""
    metrics.process.clock.set_function(time.time)
    metrics.process.memory_used.set_function(lambda: used_bytes() or 0)
    metrics.process.memory_limit.set(MemoryGuard.of(memory).limit_bytes)
    found = (version("k2"), platform.python_version(), version("duckdb"), version("pyiceberg"))
    metrics.process.info.labels(*found).set(1)


def tell_engine(metrics: Metrics, engine: QueryEngine) -> None:
    """Let queries be asked for."""
    metrics.query.running.set_function(lambda: engine.busy().running)
    metrics.query.queued.set_function(lambda: engine.busy().queued)
    metrics.query.streams.set_function(lambda: engine.busy().streams)


def tell_ingests(metrics: Metrics, ingests: Iterable[Ingest], schemas: SchemaCache) -> None:
    """Let ingests be asked for."""
    for ingest in ingests:
        metrics.before_scrape(ingest.tell)
        metrics.ingest.commit_age.labels(ingest.name).set_function(partial(_commit_age_s, ingest))
    metrics.schemas.schemas.set_function(lambda: len(schemas))


def _commit_age_s(ingest: Ingest) -> float:
    return ingest.commit_age_s


def tell_brake(metrics: Metrics, brake: Brake) -> None:
    """Let the brake be asked for."""
    paused = metrics.ingest.paused
    paused.labels("memory").set_function(lambda: float(brake.held_by_memory))
    paused.labels("disk").set_function(lambda: float(brake.held_by_disk))


# --- looks


def process_looks(settings: Settings, metrics: Metrics, engine: QueryEngine, ready: Ready) -> dict[str, Look]:
    """What every process looks at."""

    def memory() -> None:
        held, spilled = engine.memory()
        metrics.query.duckdb_memory.set(held)
        metrics.query.duckdb_spill.set(spilled)

    async def readiness() -> None:
        is_ready = False
        try:
            is_ready = await ready()
        finally:
            # Where nobody can say, it is not.
            metrics.process.ready.set(is_ready)

    return {
        "tables": on_thread(partial(look_at_tables, engine.lake_tables, metrics.lake)),
        "duckdb": on_thread(memory),
        "disks": on_thread(partial(look_at_disks, places(settings), Series(metrics.lake.disk_free))),
        "readiness": readiness,
    }


def worker_looks(
    settings: Settings,
    metrics: Metrics,
    ingests: Mapping[Name, Ingest],
    state_folders: Mapping[str, Iterable[Path]],
    log: Callable[[], Log],
) -> dict[str, Look]:
    """What a worker looks at beside.

    Parameters
    ----------
    state_folders
        RocksDB folders by topic.
    log
        Gives the consumer, once there is one.
    """
    gaps = GapGauges(
        {name: one.states for name, one in ingests.items()}, metrics.ingest, settings.metrics.top_symbols
    )

    async def ends() -> None:
        # Before the log's consumer has started there is nothing of it to tell.
        with suppress(ConsumerNotStarted):
            async with asyncio.timeout(LOG_WITHIN_S):
                await _tell_ends(log(), ingests.values())

    looks: dict[str, Look] = {
        "gaps": on_thread(gaps.look),
        "state": on_thread(partial(look_at_state, state_folders, metrics.log)),
        "ends": ends,
    }
    if not is_kafka(settings):
        looks["log"] = on_thread(partial(look_at_log, log_path(settings.log_url), metrics.log))
    return looks


async def _tell_ends(log: Any, ingests: Iterable[Ingest]) -> None:
    """Ask where the log ends: ingest hears of it by fetching, which stops when it is stuck."""
    for ingest in ingests:
        ours = [tp for tp in log.assignment() if tp.topic in ingest.sources]
        if ours:
            ends = await log.highwaters(*ours)
            ingest.ends({tp: log.readable_end(tp, end) for tp, end in ends.items()})


def places(settings: Settings) -> dict[str, Path]:
    """Folders on this machine that K2 writes to, by what is there."""
    found = {"home": settings.home}
    if not is_kafka(settings):
        found["log"] = log_path(settings.log_url).parent
    warehouse = local_path(settings.warehouse)
    return found if warehouse is None else found | {"warehouse": warehouse}
