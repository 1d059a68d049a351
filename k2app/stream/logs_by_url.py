"""The message log that a URL names: `sqlite:///PATH` or `kafka://HOST:PORT,...`.

Wiring and commands ask this module; nothing else looks at the URL's scheme.
"""

from __future__ import annotations

from typing import Any, Protocol

from k2app.errors import OperatorError
from k2app.settings import Settings
from k2app.stream.embedded import Transport as EmbeddedTransport
from k2app.stream.embedded import WorkerLock, log_path
from k2app.stream.log_file import LogFile
from k2app.stream.publisher import EmbeddedPublisher, Publisher


class Log(Protocol):
    """A message log, as set-up and loading see it."""

    log_id: str
    """Identity of the log: offsets mean nothing without it."""

    @property
    def file(self) -> LogFile | None:
        """File of the embedded log, which also holds its schemas; None for Kafka."""

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """Make a topic. False: it exists. Raises `OperatorError` if it has another number of partitions."""

    def publisher(self) -> Publisher:
        """Publisher into this log; closing it closes the log."""

    def close(self) -> None:
        """Close connections."""


def open_log(settings: Settings) -> Log:
    """Open the log that the settings name.

    Raises
    ------
    OperatorError
        The URL is of no known form, or the embedded log cannot be opened.
    TransientError
        Kafka does not answer.
    """
    return KafkaLog(settings) if _is_kafka(settings) else EmbeddedLog(settings)


def worker_alive(settings: Settings) -> bool:
    """Whether a worker consumes the log that the settings name.

    Raises
    ------
    TransientError
        Kafka does not answer.
    """
    if not _is_kafka(settings):
        return WorkerLock(log_path(settings.log_url)).held_by_another()
    from k2app.stream.kafka_admin import KafkaAdmin  # noqa: PLC0415 - only where Kafka is used

    return KafkaAdmin(settings.log_url).group_members(settings.consumer_group) > 0


def transport(settings: Settings) -> type[Any]:
    """Faust transport class for the log that the settings name."""
    if not _is_kafka(settings):
        return EmbeddedTransport
    from k2app.stream.kafka import Transport as KafkaTransport  # noqa: PLC0415 - only where Kafka is used

    return KafkaTransport


def broker_url(settings: Settings) -> str:
    """URL in the form that Faust takes: servers are separated by semicolons."""
    if not _is_kafka(settings):
        return settings.log_url
    from k2app.stream.kafka_admin import SCHEME, servers  # noqa: PLC0415 - only where Kafka is used

    return ";".join(f"{SCHEME}{server}" for server in servers(settings.log_url))


def _is_kafka(settings: Settings) -> bool:
    scheme = settings.log_url.partition(":")[0]
    if scheme not in {"sqlite", "kafka"}:
        raise OperatorError(
            f"K2_LOG_URL is {settings.log_url!r}: a log is written sqlite:///PATH or kafka://HOST:PORT,..."
        )
    return scheme == "kafka"


class EmbeddedLog:
    """The embedded log: one file."""

    def __init__(self, settings: Settings) -> None:
        self._file = LogFile(log_path(settings.log_url), synchronous=settings.log.synchronous)
        self.log_id = self._file.log_id

    @property
    def file(self) -> LogFile:
        """See `Log.file`."""
        return self._file

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """See `Log.create_topic`."""
        return self._file.create_topic(name, partitions, compacted=compacted)

    def publisher(self) -> Publisher:
        """See `Log.publisher`."""
        return EmbeddedPublisher(self._file)

    def close(self) -> None:
        """See `Log.close`."""
        self._file.close()


class KafkaLog:
    """A Kafka cluster; its identity is the cluster id."""

    file = None

    def __init__(self, settings: Settings) -> None:
        from k2app.stream.kafka_admin import KafkaAdmin  # noqa: PLC0415 - only where Kafka is used

        self._admin = KafkaAdmin(settings.log_url)
        self.log_id = self._admin.cluster_id()

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """See `Log.create_topic`."""
        return self._admin.create_topic(name, partitions, compacted=compacted)

    def publisher(self) -> Publisher:
        """See `Log.publisher`."""
        from k2app.stream.kafka_publisher import KafkaPublisher  # noqa: PLC0415 - only where Kafka is used

        return KafkaPublisher(self._admin.url, self.log_id)

    def close(self) -> None:
        """Nothing is open between two calls."""
