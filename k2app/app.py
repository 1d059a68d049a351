"""The Faust application: the one file that sees everything.

`create_app(settings)` wires log, registry, lake, tables, agents, ingest, queries and web views, by explicit calls.
`faust -A k2app.app` finds `app` through the module's `__getattr__`: importing the module does no work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import faust
import pyarrow as pa
from faust.serializers import codecs
from faust.types import TP
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pyiceberg.catalog import Catalog

import web
from agents.batches import register as register_agents
from k2app import instruments, topology, tracing
from k2app.faults import from_environment
from k2app.faust_command import Worker, add_commands
from k2app.ingest.brake import Brake
from k2app.ingest.disk import DiskGuard, folders
from k2app.ingest.flush import Flusher
from k2app.ingest.memory import MemoryGuard
from k2app.ingest.positions import LogBounds, Policy
from k2app.ingest.restore import Restorer
from k2app.ingest.rows import Source
from k2app.ingest.schema_cache import SchemaCache
from k2app.ingest.service import Ingest, Parts
from k2app.lake.catalog import load, open_catalog
from k2app.lake.content import content_columns
from k2app.lake.floors import Fingerprint, Place
from k2app.lake.history import rows_between, rows_of_dates, visible_rows
from k2app.lake.ledger import Retractions
from k2app.lake.looks import Looks
from k2app.lake.observed import observed
from k2app.lake.tables import Name
from k2app.lake.turns import Turns
from k2app.lake.writer import Writer
from k2app.logs import FAUST_LOGGER, configure, faust_config, get
from k2app.market import exchanges as market_exchanges
from k2app.market.topics import DataType
from k2app.metrics import Metrics
from k2app.operate.opening import lake_floors
from k2app.query.engine import QueryEngine
from k2app.settings import Settings, read_settings
from k2app.stream.log_file import LogFile
from k2app.stream.log_space import LogSpace
from k2app.stream.logs_by_url import Log, broker_credentials, broker_url, open_log, transport
from k2app.stream.observed_registry import ObservedRegistry
from k2app.stream.registry import Registry, open_registry
from k2app.stream.retention import Keep, Retention
from k2app.stream.sensors import Sensors
from k2app.watch import Look, Watch
from tables.manager import PromptTableManager
from tables.sequences import ROCKSDB_OPTIONS, SequenceTable, SequenceTables

logger = get(__name__)

BATCH_CODEC = "k2-batch"
"""Faust codec of batch topics: passes the batch through. Decoding is ingest's: a failure inside Faust is acked away."""

NO_SCHEMA = 2**31 - 1
"""Id that no schema has (they count from 1): a registry that answers says so, and its client has nothing to keep."""

COMMIT_INTERVAL_S = 1.0
"""Seconds between commits of offsets to the log: a hint for people and lag tools, the lake holds the truth."""


SESSION_TIMEOUT_S = 20.0
"""Seconds after which the partitions of a worker that is gone pass to others (Kafka): several heartbeats' worth."""


class _PassThrough(codecs.Codec):
    """Codec that leaves values as they are."""

    def _loads(self, s: Any) -> Any:
        return s

    def _dumps(self, obj: Any) -> Any:
        return obj


class K2App(faust.App):
    """Faust app with the ingests that its agents feed."""

    logger = FAUST_LOGGER
    settings: Settings
    served: topology.Topics
    batch_topics: frozenset[str]
    log_id: str
    ingests: dict[Name, Ingest]
    metrics: Metrics
    engine: QueryEngine
    brake: Brake
    watch: Watch
    probes: Mapping[str, web.Probe]
    recovered = False
    """Whether the partitions are given out and their tables recovered."""
    on_failure: Callable[[BaseException], Awaitable[None]] | None = None
    retention: Retention | None = None
    """None: the log is not ours to trim (Kafka)."""

    def _new_transport(self) -> Any:
        return transport(self.settings)(self.conf.broker_consumer, self)

    def _new_web(self) -> Any:
        return web.Driver(self, self.settings.web, self.metrics)

    async def on_start(self) -> None:
        """Start the ingests and tie them to the consumer."""
        await super().on_start()
        self.consumer.before_revoke = self._revoke
        for ingest in self.ingests.values():
            ingest.start(self.consumer)
        self.brake.start(self.consumer.positions)
        self.watch.start()
        if self.retention is not None:
            self.retention.start()

    async def on_stop(self) -> None:
        """Flush first: Faust closes its tables before it sends any signal."""
        logger.info("stopping", rows_to_commit_first=sum(one.uncommitted for one in self.ingests.values()))
        await self.watch.stop()
        await self.brake.stop()
        # All at once: where the lake does not answer, each takes as long as it may.
        failures = await _all_of(ingest.stop() for ingest in self.ingests.values())
        if self.retention is not None:
            await self.retention.stop()
        await super().on_stop()
        # Whoever is being answered is answered to the end: Faust would stop its server only after this.
        await self.web.stop()
        await asyncio.to_thread(self.engine.close)
        await asyncio.to_thread(tracing.stop)
        if failures:
            raise failures[0]

    def on_rebalance_start(self) -> None:
        """Note that the partitions change hands: the tables are recovered once more."""
        self.recovered = False
        super().on_rebalance_start()

    async def readiness(self) -> web.Checks:
        """Look at everything that the worker needs."""
        asked = await web.ask(self.probes)
        registry = asked.pop("registry")
        ingests = {str(name): ingest.obstacle for name, ingest in self.ingests.items()}
        # Schemas are known by their ids: the registry is asked for new ones only.
        registry_waits = registry is not None and any(ingests.values())
        parts = {
            "log": self.consumer.trouble,
            **ingests,
            "recovery": None if self.recovered else "partitions are being taken over, and states recovered",
            "commits": self._commits_overdue(),
            "disk": self.brake.disk.trouble,
            **asked,
            "registry": registry if registry_waits else None,
        }
        warnings = {
            "memory": self.brake.memory.trouble,
            "registry": None if registry_waits else registry,
        }
        return web.Checks(parts, {part: said for part, said in warnings.items() if said is not None})

    def _commits_overdue(self) -> str | None:
        """Which tables lack what is on the log for too long, in words; None: none does."""
        limit_s = self.settings.health.commit_age_s + self.settings.flush.interval_s
        ages = {name: ingest.commit_age_s for name, ingest in self.ingests.items()}
        late = [
            f"{name}: nothing was committed for {age_s:.0f} s"
            for name, age_s in ages.items()
            if age_s > limit_s
        ]
        return "; ".join([*late, f"records wait (the limit is {limit_s:g} s)"]) if late else None

    def tell_waiting(self) -> None:
        """Let the metrics say which part waits for what does not answer; asked at every scrape."""
        waiting = self.metrics.log.waiting
        waiting.labels("log").set_function(lambda: float(self.consumer.trouble is not None))
        for name, ingest in self.ingests.items():
            waiting.labels(name).set_function(partial(_waits, ingest))

    async def fail(self, error: BaseException) -> None:
        """Stop the worker: something is wrong that it cannot mend."""
        if self.on_failure is None:
            await self.crash(error)
        else:
            await self.on_failure(error)

    async def assign(self, *_: Any, **__: Any) -> None:
        """Hand the batch partitions that are ours to their ingests; recovery of the tables is over by now."""
        ours = {tp for tp in self.consumer.assignment() if tp.topic in self.batch_topics}
        for ingest in self.ingests.values():
            await ingest.assign({tp for tp in ours if tp.topic in ingest.sources})
        self.recovered = True

    async def _revoke(self, partitions: set[TP]) -> None:
        self.tables.recovery.give_up()
        # All at once, as in `on_stop`: the group waits for the slowest.
        ingests = self.ingests.values()
        for error in await _all_of(
            i.revoke({tp for tp in partitions if tp.topic in i.sources}) for i in ingests
        ):
            await self.fail(error)

    async def log_ends(self) -> dict[TP, int]:
        """Offset after the last record of every batch partition, as of now."""
        ours = [tp for tp in self.consumer.assignment() if tp.topic in self.batch_topics]
        ends: dict[TP, int] = await self.consumer.readable_ends(*ours)
        return ends

    async def log_bounds(self, place: Place, floor: int | None) -> LogBounds:
        """What the log says of one partition; see `k2app.ingest.positions`."""
        tp = TP(place.topic, place.partition)
        start = (await self.consumer.earliest_offsets(tp))[tp]
        end = (await self.consumer.highwaters(tp))[tp]
        if floor is None or not start < floor <= end:
            return LogBounds(start, end)
        batch = await self.consumer.read_batch(tp, floor - 1, 1)
        if batch is None or batch.first_offset != floor - 1:
            return LogBounds(start, end)
        return LogBounds(start, end, Fingerprint(*batch.fingerprint(0)))


async def _all_of(work: Iterable[Awaitable[None]]) -> list[Exception]:
    """Do all of it, whatever fails; returns what did."""
    done = await asyncio.gather(*work, return_exceptions=True)
    return [one for one in done if isinstance(one, Exception)]


def _waits(ingest: Ingest) -> float:
    return float(ingest.trouble is not None)


class K2Web(web.WebApp):
    """Faust app that answers queries and does nothing else."""

    engine: QueryEngine
    watch: Watch


def create_web(settings: Settings, catalog: Catalog) -> K2Web:
    """Wire a process that answers queries: the worker's views, without log, agents and tables.

    Raises
    ------
    OperatorError
        The configuration does not fit what is there.
    """
    web.check_bind(settings)
    metrics = Metrics(_process_registry())
    catalog = observed(catalog, instruments.catalog_observer(metrics.lake))
    app = K2Web(
        f"{settings.consumer_group}-web",
        settings.web,
        metrics,
        datadir=str(settings.state_dir),
        web_application_options=web.options(settings, metrics),
    )
    app.engine = _engine(settings, catalog, metrics)
    probes = _lake_probes(settings, catalog, metrics)

    async def readiness() -> web.Checks:
        return web.Checks(await web.ask(probes))

    app.watch = _watch(settings, metrics, app.engine, readiness, {})
    web.register(app, _dependencies(settings, app.engine, metrics, readiness))
    return app


@dataclass(frozen=True)
class Prepared:
    """What a worker stands on: opened, and everything there that has to be."""

    served: topology.Topics
    log: Log
    registry: Registry
    catalog: Catalog


def prepare(settings: Settings) -> Prepared:
    """Open log, registry and catalog; make topics, subjects and tables that are missing. Blocks.

    Raises
    ------
    OperatorError
        The configuration does not fit what is there.
    TransientError
        One of them does not answer.
    """
    web.check_bind(settings)
    served = topology.topics(settings)
    with ExitStack() as opened:
        log = open_log(settings)
        opened.callback(log.close)
        registry = open_registry(settings, log.file)
        catalog = open_catalog(settings)
        opened.callback(catalog.close)
        topology.initialise(settings, served, log, registry, catalog)
        # Whoever waits for what is away tries often: only what is used stays open.
        opened.pop_all()
    return Prepared(served, log, registry, catalog)


def create_app(settings: Settings, prepared: Prepared | None = None) -> K2App:
    """Wire the application.

    Parameters
    ----------
    prepared
        What `prepare` returned; None: it is called here.

    Raises
    ------
    OperatorError
        The configuration does not fit what is there.
    TransientError
        Something does not answer.
    """
    on = prepared or prepare(settings)
    served, log, registry = on.served, on.log, on.registry
    metrics = Metrics(_process_registry())
    catalog = observed(on.catalog, instruments.catalog_observer(metrics.lake))
    app = _faust_app(settings, log.log_id, frozenset(served.by_name), metrics)
    app.served = served
    tables = SequenceTables(app, {t: _table(app, t, served) for t in _sequenced(served)})
    schema_cache = SchemaCache(ObservedRegistry(registry, metrics.schemas))
    turns = Turns(settings.catalog_uri)
    app.ingests = {
        Name(data_type.value): _ingest(app, data_type, catalog, tables, schema_cache, log.log_id, turns)
        for data_type in DataType
    }
    for ingest in app.ingests.values():
        register_agents(app, ingest, [_topic(app, name, served) for name in ingest.sources])
    app.tell_waiting()
    instruments.begin_at_zero(metrics)
    instruments.tell_ingests(metrics, app.ingests.values(), schema_cache)
    app.on_rebalance_complete.connect(app.assign)
    app.engine = _engine(settings, catalog, metrics)
    if log.file is not None:
        app.retention = _retention(app, log.file, catalog)
    disk = DiskGuard(folders(settings), settings.disk.min_free_bytes)
    app.brake = Brake(
        MemoryGuard.of(settings.memory), disk, list(app.ingests.values()), app.fail, _pausing(metrics)
    )
    instruments.tell_brake(metrics, app.brake)
    app.probes = {
        **_lake_probes(settings, catalog, metrics),
        "registry": web.Probe("schema registry", lambda: registry.schema(NO_SCHEMA)),
    }
    folders_of_state = {topic: tables.folders(topic) for topic in _sequenced(served)}
    looks = instruments.worker_looks(settings, metrics, app.ingests, folders_of_state, lambda: app.consumer)
    app.watch = _watch(settings, metrics, app.engine, app.readiness, looks)
    web.register(app, _dependencies(settings, app.engine, metrics, app.readiness))
    return app


def _engine(settings: Settings, catalog: Catalog, metrics: Metrics) -> QueryEngine:
    exchanges, observe = (
        market_exchanges.load(settings.exchanges_file),
        instruments.catalog_observer(metrics.lake),
    )
    engine = QueryEngine(settings, catalog, exchanges, metrics.query, observe)
    instruments.tell_engine(metrics, engine)
    return engine


def _watch(
    settings: Settings,
    metrics: Metrics,
    engine: QueryEngine,
    readiness: Callable[[], Awaitable[web.Checks]],
    looks: Mapping[str, Look],
) -> Watch:
    async def ready() -> bool:
        return not (await readiness()).reasons

    instruments.tell_process(metrics, settings.memory)
    instruments.begin_web_at_zero(metrics)
    every = {**instruments.process_looks(settings, metrics, engine, ready), **looks}
    return Watch(metrics.process, every, settings.metrics.look_s)


def _pausing(metrics: Metrics) -> Callable[[str], None]:
    return lambda reason: metrics.ingest.pauses.labels(reason).inc()


def _lake_probes(settings: Settings, catalog: Catalog, metrics: Metrics) -> dict[str, web.Probe]:
    looks = Looks(catalog, settings, observe=instruments.catalog_observer(metrics.lake))
    return {
        "catalog": web.Probe("catalog", looks.catalog),
        "warehouse": web.Probe("warehouse", looks.warehouse),
    }


def _dependencies(
    settings: Settings, engine: QueryEngine, metrics: Metrics, readiness: Callable[[], Awaitable[web.Checks]]
) -> web.Dependencies:
    return web.Dependencies(engine, metrics, readiness, settings.web.idle_s, settings.health.loop_delay_s)


def _process_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def _faust_app(settings: Settings, log_id: str, batch_topics: frozenset[str], metrics: Metrics) -> K2App:
    codecs.register(BATCH_CODEC, _PassThrough())
    state = settings.state_dir / log_id
    state.mkdir(parents=True, exist_ok=True)
    app = K2App(
        settings.consumer_group,
        broker=broker_url(settings),
        broker_credentials=broker_credentials(settings),
        store="rocksdb://",
        datadir=str(state),
        autodiscover=False,
        Worker=Worker,
        monitor=Sensors(metrics.log),
        broker_commit_interval=COMMIT_INTERVAL_S,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        TableManager=PromptTableManager,
        topic_disable_leader=True,
        reply_create_topic=False,
        # The watermark says what a table is worth, and the lake can rebuild it.
        recovery_consistency_check=False,
        table_standby_replicas=0,
        broker_session_timeout=SESSION_TIMEOUT_S,
        web_enabled=settings.web.enabled,
        web_bind=settings.web.host,
        web_host=settings.web.host,
        web_port=settings.web.port,
        web_in_thread=False,
        web_application_options=web.options(settings, metrics),
        logging_config=faust_config(settings.logs),
        worker_redirect_stdouts=False,
    )
    app.settings = settings
    app.metrics = metrics
    app.batch_topics = batch_topics
    app.log_id = log_id
    return app


def _sequenced(served: topology.Topics) -> list[str]:
    return [t.name for t, _ in served.by_name.values() if t.data_type is not DataType.REFERENCE_DATA]


def _topic(app: K2App, name: str, served: topology.Topics) -> faust.Topic:
    topic, exchange = served.by_name[name]
    return app.topic(
        name,
        key_serializer="raw",
        value_serializer=BATCH_CODEC,
        partitions=exchange.topic_partitions(topic.data_type),
        allow_empty=True,
    )


def _table(app: K2App, name: str, served: topology.Topics) -> SequenceTable:
    topic, exchange = served.by_name[name]
    table = SequenceTable(
        app,
        name=f"{name}-sequences",
        partitions=exchange.topic_partitions(topic.data_type),
        options=dict(ROCKSDB_OPTIONS),
        help=f"Sequence states of {name}, by symbol and scope.",
    )
    app.tables.add(table)
    return table


def _ingest(
    app: K2App,
    data_type: DataType,
    catalog: Catalog,
    tables: SequenceTables,
    schema_cache: SchemaCache,
    log_id: str,
    turns: Turns,
) -> Ingest:
    settings, name = app.settings, Name(data_type.value)
    watch = instruments.commit_watch(app.metrics.flush)
    writer = Writer(catalog, settings, name, _now_us, watch=watch, turns=turns)
    reader = topology.reader_schema(data_type)
    retractions = Retractions(lambda: load(catalog, settings, Name.LOADS))

    def table_uuid() -> str:
        return str(load(catalog, settings, name).metadata.table_uuid)

    def lake_rows(place: Place, start: int, end: int) -> Iterable[pa.Table]:
        table = load(catalog, settings, name)
        return rows_between(table, place.log_id, place.topic, place.partition, start, end)

    def lake_scopes(place: Place, symbols: list[str], dates: list[int], end: int) -> Iterable[pa.Table]:
        return rows_of_dates(load(catalog, settings, name), place, symbols, dates, end)

    def copies(topic: str, symbols: list[str], first_us: int, last_us: int) -> pa.Table:
        # Asked first: a load that is retracted meanwhile still counts as visible, and none the other way round.
        retracted = retractions.ids()
        table = load(catalog, settings, name)
        return visible_rows(table, content_columns(name), topic, symbols, first_us, last_us, retracted)

    policy = Policy(settings.on_hole, settings.on_new_log)
    keep_days = settings.state.keep_days
    sources: Sequence[tuple[str, Source]] = [
        (topic.name, Source(topic, exchange, reader, settings.state.max_open_gaps))
        for topic, exchange in app.served.of(data_type)
    ]
    return Ingest(
        Parts(
            name,
            dict(sources),
            settings.flush,
            schema_cache,
            Flusher(writer, tables, table_uuid, copies, app.metrics, from_environment()),
            Restorer(
                log_id,
                writer,
                tables,
                table_uuid,
                lake_rows,
                lake_scopes,
                app.log_bounds,
                policy,
                keep_days,
                lambda stored: app.metrics.log.states_restored.labels(name, stored).inc(),
            ),
            app.metrics,
            app.fail,
        )
    )


def _retention(app: K2App, file: LogFile, catalog: Catalog) -> Retention:
    settings = app.settings
    return Retention(
        lambda: LogSpace(file.path, synchronous=settings.log.synchronous),
        lambda: lake_floors(catalog, settings, file.log_id),
        lambda: all(ingest.reading for ingest in app.ingests.values()),
        Keep(settings.log.keep_hours, settings.log.keep_bytes),
        _now_us,
        app.fail,
        trimmed=app.metrics.log.trimmed.inc,
    )


def _now_us() -> int:
    return time.time_ns() // 1_000


def __getattr__(name: str) -> Any:
    """Make `app` when Faust's command line asks for it."""
    if name == "app":
        settings = read_settings()
        configure(settings.logs)
        tracing.start(settings.otel)
        add_commands()
        found = globals()["app"] = create_app(settings)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
