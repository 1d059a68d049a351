"""What is deployed: the topics of the configured exchanges, and making everything they need.

`initialise` is idempotent: it makes topics, subjects, namespace and tables that are missing, and refuses what has
changed and must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pyiceberg.catalog import Catalog

import schemas
from k2app.avro.schema import Schema, parse
from k2app.errors import OperatorError
from k2app.lake.catalog import check_growth, create_tables
from k2app.lake.tables import Name
from k2app.market import exchanges as market_exchanges
from k2app.market.exchanges import Exchange, Exchanges
from k2app.market.topics import DataType, Topic
from k2app.settings import Settings
from k2app.stream.registry import Registry

RULE_PROPERTY = "k2.sequence-rule."
"""Prefix of the table properties that pin the sequence rules, one per exchange."""


@dataclass(frozen=True)
class Topics:
    """The topics that are served, with the exchange of each."""

    by_name: Mapping[str, tuple[Topic, Exchange]]

    def of(self, data_type: DataType) -> list[tuple[Topic, Exchange]]:
        """Topics of one data type."""
        return [(t, e) for t, e in self.by_name.values() if t.data_type is data_type]

    def topic(self, exchange: str, data_type: DataType) -> tuple[Topic, Exchange]:
        """Topic of one exchange and data type.

        Raises
        ------
        OperatorError
            The exchange is not served.
        """
        for topic, found in self.of(data_type):
            if found.name == exchange:
                return topic, found
        served = dict.fromkeys(e.name for _, e in self.by_name.values())
        raise OperatorError(
            f"exchange {exchange!r} is not served; served are {', '.join(served)}: "
            f"set K2_EXCHANGES={','.join([*served, exchange])}, for the worker too, if it is configured"
        )


def served_exchanges(settings: Settings) -> Exchanges:
    """Read the configured exchanges, those that `K2_EXCHANGES` names, or all but those on request."""
    return market_exchanges.load(settings.exchanges_file).served(settings.exchanges)


def topics(settings: Settings) -> Topics:
    """Every topic of the served exchanges."""
    found = [
        (Topic(exchange.asset_class, data_type, exchange.name), exchange)
        for exchange in served_exchanges(settings).values()
        for data_type in DataType
    ]
    return Topics({topic.name: (topic, exchange) for topic, exchange in found})


def reader_schema(data_type: DataType) -> Schema:
    """Schema that records of a data type are read with: the newest."""
    return parse(schemas.newest(data_type.record))


@dataclass(frozen=True)
class Made:
    """What `initialise` made; everything else was there."""

    topics: list[str]
    subjects: dict[str, int]
    """Id of the newest schema by subject, new or not."""
    tables: list[str]
    grown: Mapping[str, str]
    """What tables that were there lacked and have now, in words, by name."""


class TopicMaker(Protocol):
    """Where topics are made: a log."""

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """Make a topic. False: it exists. Raises `OperatorError` if it has another number of partitions."""


def initialise(
    settings: Settings, served: Topics, log: TopicMaker, registry: Registry, catalog: Catalog
) -> Made:
    """Make topics, subjects, namespace and tables that are missing; give tables what new schemas bring.

    1. ask the registry whether it takes the newest schemas, and look whether the tables that exist can: what is refused
    has changed nothing; 2. topics; 3. subjects; 4. tables.

    Raises
    ------
    OperatorError
        Something is there in another form than configured: partition counts, sequence rules, formats, schemas.
    """
    check_schemas(registry, served.by_name.values())
    lacking = check_growth(catalog, settings)
    return Made(
        [name for name, (topic, exchange) in served.by_name.items() if _make_topic(log, topic, exchange)],
        register_schemas(registry, (topic for topic, _ in served.by_name.values())),
        create_tables(catalog, settings, pinned_rules(served)),
        lacking,
    )


def _make_topic(log: TopicMaker, topic: Topic, exchange: Exchange) -> bool:
    compacted = topic.data_type is DataType.REFERENCE_DATA
    return log.create_topic(topic.name, exchange.topic_partitions(topic.data_type), compacted=compacted)


def check_schemas(registry: Registry, served: Iterable[tuple[Topic, Exchange]]) -> None:
    """Check that the registry takes the newest schema of every subject.

    Raises
    ------
    OperatorError
        It does not; with its reason.
    """
    for topic in {t.subject: t for t, _ in served}.values():
        registry.check(topic.subject, schemas.newest(topic.data_type.record))


def register_schemas(registry: Registry, served: Iterable[Topic]) -> dict[str, int]:
    """Register every version of every subject's schema, oldest first; returns the newest id by subject."""
    ids: dict[str, int] = {}
    for topic in {t.subject: t for t in served}.values():
        for schema in schemas.versions(topic.data_type.record).values():
            ids[topic.subject] = registry.register(topic.subject, schema)
    return ids


def pinned_rules(served: Topics) -> dict[Name, dict[str, str]]:
    """Sequence rules in force, as table properties."""
    return {
        Name(data_type.value): {
            f"{RULE_PROPERTY}{exchange.name}": exchange.rule(data_type).text()
            for _, exchange in served.of(data_type)
        }
        for data_type in (DataType.TRADES, DataType.QUOTES)
    }
