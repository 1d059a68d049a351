"""Opening what is there: commands that look must not make an empty log or lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog import Catalog

from k2app.errors import OperatorError
from k2app.lake.catalog import load, open_catalog
from k2app.lake.floors import floor_in_force
from k2app.lake.tables import Name
from k2app.settings import Settings
from k2app.stream.embedded import log_path
from k2app.stream.log_space import LogSpace
from k2app.stream.retention import Floor
from k2app.topology import Topics, topics

MAIN = (Name.TRADES, Name.QUOTES, Name.REFERENCE_DATA)
"""Tables that records of the log become rows of; their floors say what the lake has."""


@dataclass(frozen=True)
class Opened:
    """The embedded log and the lake of some settings."""

    settings: Settings
    log: LogSpace
    catalog: Catalog
    served: Topics

    def floors(self) -> dict[tuple[str, int], Floor]:
        """See `lake_floors`."""
        return lake_floors(self.catalog, self.settings, self.log.log_id)


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """Open log and lake.

    Raises
    ------
    OperatorError
        One of them is not there: names the command that makes it. Or the log is Kafka.
    """
    path = embedded_path(settings)
    with opened_lake(settings) as catalog:
        if not path.exists():
            raise OperatorError(_nothing(settings))
        with closing(LogSpace(path, synchronous=settings.log.synchronous)) as log:
            yield Opened(settings, log, catalog, topics(settings))


@contextmanager
def opened_lake(settings: Settings) -> Iterator[Catalog]:
    """Open the lake's catalog.

    Raises
    ------
    OperatorError
        It is not there: names the command that makes it.
    """
    uri = settings.catalog_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise OperatorError(_nothing(settings))
    with closing(open_catalog(settings)) as catalog:
        yield catalog


def embedded_path(settings: Settings) -> Path:
    """Path of the embedded log.

    Raises
    ------
    OperatorError
        The log is Kafka, which has commands of its own for this.
    """
    if settings.log_url.startswith("kafka:"):
        raise OperatorError(
            "this command looks after the embedded log, and K2_LOG_URL names Kafka: use Kafka's own tools "
            "(kafka-consumer-groups, kafka-configs)"
        )
    return log_path(settings.log_url)


def lake_floors(catalog: Catalog, settings: Settings, log_id: str) -> dict[tuple[str, int], Floor]:
    """Where the lake ends, by topic and partition of one log; absent: it has nothing of it yet.

    Raises
    ------
    TransientError
        The catalog does not answer.
    """
    return {
        (place.topic, place.partition): Floor(
            floor.next_offset,
            None if floor.fingerprint is None else (floor.fingerprint.timestamp_us, floor.fingerprint.crc),
        )
        for name in MAIN
        for place, floor in floor_in_force(load(catalog, settings, name).metadata).partitions.items()
        if place.log_id == log_id
    }


def _nothing(settings: Settings) -> str:
    return f"there is no log or lake at {settings.home} yet: run `k2 init`, or set K2_HOME to where it is"
