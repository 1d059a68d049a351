"""Opening what is there: commands that look must not make an empty log or lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pyiceberg.catalog import Catalog

from k2app.errors import OperatorError
from k2app.lake.catalog import load, open_catalog
from k2app.lake.floors import floor_in_force
from k2app.lake.tables import Name
from k2app.settings import Settings
from k2app.stream.log_path import log_path
from k2app.stream.log_space import LogSpace
from k2app.stream.log_view import LogView
from k2app.stream.logs_by_url import is_kafka, open_view
from k2app.stream.retention import Floor
from k2app.topology import Topics, topics

MAIN = (Name.TRADES, Name.QUOTES, Name.REFERENCE_DATA)
"""Tables that records of the log become rows of; their floors say what the lake has."""


LogT_co = TypeVar("LogT_co", bound=LogView, covariant=True)


@dataclass(frozen=True)
class Opened(Generic[LogT_co]):
    """The log and the lake of some settings."""

    settings: Settings
    log: LogT_co
    catalog: Catalog
    served: Topics

    def floors(self) -> dict[tuple[str, int], Floor]:
        """See `lake_floors`."""
        return lake_floors(self.catalog, self.settings, self.log.log_id)


@contextmanager
def looked_into(settings: Settings) -> Iterator[Opened[LogView]]:
    """Open log and lake, to look into them.

    Raises
    ------
    OperatorError
        One of them is not there: names the command that makes it.
    TransientError
        Kafka does not answer.
    """
    with opened_lake(settings) as catalog, viewed(settings) as log:
        yield Opened(settings, log, catalog, topics(settings))


@contextmanager
def viewed(settings: Settings) -> Iterator[LogView]:
    """Open the log, to look into it.

    Raises
    ------
    OperatorError
        It is not there: names the command that makes it.
    TransientError
        Kafka does not answer.
    """
    _must_exist(settings)
    with closing(open_view(settings)) as log:
        yield log


@contextmanager
def opened(settings: Settings, on_kafka: str) -> Iterator[Opened[LogSpace]]:
    """Open the embedded log, and the lake.

    Parameters
    ----------
    on_kafka
        What a person does instead where the log is Kafka.

    Raises
    ------
    OperatorError
        One of them is not there: names the command that makes it. Or the log is Kafka.
    """
    if is_kafka(settings):
        raise OperatorError(
            f"this command looks after the embedded log, and K2_LOG_URL names Kafka: {on_kafka}"
        )
    with opened_lake(settings) as catalog:
        _must_exist(settings)
        log = LogSpace(log_path(settings.log_url), synchronous=settings.log.synchronous)
        with closing(log):
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


def _must_exist(settings: Settings) -> None:
    """Looking must not make an embedded log."""
    if not is_kafka(settings) and not log_path(settings.log_url).exists():
        raise OperatorError(_nothing(settings))


def _nothing(settings: Settings) -> str:
    return f"there is no log or lake at {settings.home} yet: run `k2 init`, or set K2_HOME to where it is"
