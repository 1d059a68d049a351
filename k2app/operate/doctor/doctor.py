"""Every check, in the order in which parts need one another.

1. machine: versions, folder, disk;
2. log: it answers, topics, workers;
3. registry: it answers, schemas;
4. lake: catalog, tables, warehouse;
5. log and lake: they belong together;
6. queries, web.

A part that cannot be opened is one finding, and what would need it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from pyiceberg.table import Table

from k2app.errors import K2Error
from k2app.lake.catalog import load
from k2app.lake.floors import Place, floor_in_force
from k2app.lake.tables import Name
from k2app.operate.doctor.findings import Finding, examined, failed
from k2app.operate.doctor.floors import Bounds, look_at_floors
from k2app.operate.doctor.lake import PART as LAKE
from k2app.operate.doctor.lake import look_at_tables, look_at_warehouse
from k2app.operate.doctor.log import PART as LOG
from k2app.operate.doctor.log import ingested, look_at_log, look_at_workers
from k2app.operate.doctor.machine import PART as MACHINE
from k2app.operate.doctor.machine import look_at_machine
from k2app.operate.doctor.queries import PART as QUERIES
from k2app.operate.doctor.queries import look_at_queries
from k2app.operate.doctor.registry import PART as REGISTRY
from k2app.operate.doctor.registry import look_at_registry
from k2app.operate.doctor.web import PART as WEB
from k2app.operate.doctor.web import look_at_web
from k2app.operate.opening import MAIN, opened_lake, viewed
from k2app.settings import Settings
from k2app.stream.log_space import LogSpace
from k2app.stream.logs_by_url import is_kafka, workers
from k2app.stream.registry import open_registry
from k2app.topology import Topics, pinned_rules, topics


@dataclass
class _Log:
    """What was learnt of the log, for the check of log and lake."""

    log_id: str
    bounds: Bounds


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Look at every configured part; findings come as they are made.

    Parameters
    ----------
    now
        The time, to compare those of commits with.
    """
    yield from examined(MACHINE, lambda: look_at_machine(settings))
    try:
        served = topics(settings)
    except K2Error as error:
        yield failed("settings", str(error))
        return
    logs: list[_Log] = []
    yield from examined(LOG, lambda: _log(settings, served, logs))
    yield from examined(REGISTRY, lambda: _registry(settings, served))
    yield from examined(LAKE, lambda: _lake(settings, served, now, logs))
    yield from examined(WEB, lambda: look_at_web(settings))


def _log(settings: Settings, served: Topics, logs: list[_Log]) -> Iterator[Finding]:
    with viewed(settings) as log:
        yield from look_at_log(log, served, settings.log_url)
        logs.append(_Log(log.log_id, log.bounds(served.by_name)))
    if is_kafka(settings):
        yield from _kafka(settings, served)
    yield from look_at_workers(workers(settings))


def _kafka(settings: Settings, served: Topics) -> Iterator[Finding]:
    from k2app.operate.doctor.kafka import look_at_keeping  # noqa: PLC0415 - only where Kafka is used
    from k2app.stream.kafka_admin import KafkaAdmin  # noqa: PLC0415 - as above
    from k2app.stream.kafka_cluster import cluster_of  # noqa: PLC0415 - as above

    admin = KafkaAdmin(cluster_of(settings))
    yield from look_at_keeping(admin.keeping(list(served.by_name)), admin.broker_count(), served)


def _registry(settings: Settings, served: Topics) -> Iterator[Finding]:
    with ExitStack() as stack:
        # The embedded registry is in the log's file.
        log = None if is_kafka(settings) else stack.enter_context(viewed(settings))
        registry = open_registry(settings, log if isinstance(log, LogSpace) else None)
        yield from look_at_registry(registry, served, settings.registry.url or "the log's own")


def _lake(settings: Settings, served: Topics, now: datetime, logs: list[_Log]) -> Iterator[Finding]:
    with opened_lake(settings) as catalog:
        tables = {name: load(catalog, settings, name) for name in Name}
        yield from look_at_tables(tables, pinned_rules(served), now)
        yield from examined(LAKE, lambda: look_at_warehouse(tables[Name.TRADES]))
        for log in logs:
            yield from look_at_floors(log.log_id, log.bounds, _floors(tables), ingested(served))
        yield from examined(QUERIES, lambda: look_at_queries(settings, catalog))


def _floors(tables: Mapping[Name, Table]) -> dict[Place, int]:
    return {
        place: floor.next_offset
        for name in MAIN
        for place, floor in floor_in_force(tables[name].metadata).partitions.items()
    }
