"""The message log that a URL names: `sqlite:///PATH` or `kafka://HOST:PORT,...`.

Wiring and commands ask this module; nothing else looks at the URL's scheme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from k2app.errors import OperatorError
from k2app.settings import Settings, shown_url
from k2app.stream.log_file import LogFile
from k2app.stream.log_path import log_path
from k2app.stream.log_space import LogSpace
from k2app.stream.log_view import LogView
from k2app.stream.publisher import EmbeddedPublisher, Publisher
from k2app.stream.worker_lock import WorkerLock


class Log(Protocol):
    """A message log, as set-up and loading see it."""

    log_id: str
    """Identity of the log: offsets mean nothing without it."""

    @property
    def file(self) -> LogFile | None:
        """File of the embedded log, which also holds its schemas; None for Kafka."""

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """Make a topic. False: it exists. Raises `OperatorError` if it has another number of partitions."""

    def has_topic(self, name: str) -> bool:
        """Whether there is a topic of this name, with any number of partitions."""

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
    return KafkaLog(settings) if is_kafka(settings) else EmbeddedLog(settings)


def open_view(settings: Settings) -> LogView:
    """Open the log that the settings name, to look into it; it must be there.

    Raises
    ------
    OperatorError
        The URL is of no known form, or the embedded log cannot be opened.
    TransientError
        Kafka does not answer.
    """
    if not is_kafka(settings):
        return LogSpace(log_path(settings.log_url), synchronous=settings.log.synchronous)
    from k2app.stream.kafka_cluster import cluster_of  # noqa: PLC0415 - only where Kafka is used
    from k2app.stream.kafka_view import KafkaView  # noqa: PLC0415 - as above

    return KafkaView(cluster_of(settings))


@dataclass(frozen=True)
class Workers:
    """Workers that consume a log: how many, and the process id if it is known (0: it is not).

    Kafka counts one that has ended until its session runs out: it may come back and find its partitions waiting.
    """

    count: int
    process: int = 0


def workers(settings: Settings) -> Workers:
    """Who consumes the log that the settings name.

    Raises
    ------
    TransientError
        Kafka does not answer.
    """
    if is_kafka(settings):
        from k2app.stream.kafka_admin import KafkaAdmin  # noqa: PLC0415 - only where Kafka is used
        from k2app.stream.kafka_cluster import cluster_of  # noqa: PLC0415 - as above

        return Workers(KafkaAdmin(cluster_of(settings)).group_members(settings.consumer_group))
    owner = WorkerLock(log_path(settings.log_url)).owner()
    return Workers(0) if owner is None else Workers(1, owner)


def worker_alive(settings: Settings) -> bool:
    """Whether a worker consumes the log that the settings name.

    Raises
    ------
    TransientError
        Kafka does not answer.
    """
    return workers(settings).count > 0


def transport(settings: Settings) -> type[Any]:
    """Faust transport class for the log that the settings name."""
    if not is_kafka(settings):
        from k2app.stream.embedded import Transport  # noqa: PLC0415 - it brings Faust, which only workers need

        return Transport
    from k2app.stream.kafka import Transport as KafkaTransport  # noqa: PLC0415 - only where Kafka is used

    return KafkaTransport


def broker_url(settings: Settings) -> str:
    """URL in the form that Faust takes: servers are separated by semicolons."""
    if not is_kafka(settings):
        return settings.log_url
    from k2app.stream.kafka_cluster import SCHEME, servers  # noqa: PLC0415 - only where Kafka is used

    return ";".join(f"{SCHEME}{server}" for server in servers(settings.log_url))


def broker_credentials(settings: Settings) -> Any:
    """Encryption and login in the form that Faust takes; None: neither."""
    if not is_kafka(settings):
        return None
    from k2app.stream.kafka_cluster import cluster_of  # noqa: PLC0415 - only where Kafka is used

    return cluster_of(settings).credentials()


def is_kafka(settings: Settings) -> bool:
    """Whether the log is Kafka.

    Raises
    ------
    OperatorError
        The URL is of no known form.
    """
    scheme = settings.log_url.partition(":")[0]
    if scheme not in {"sqlite", "kafka"}:
        raise OperatorError(
            f"K2_LOG_URL is {shown_url(settings.log_url)!r}: a log is written sqlite:///PATH or kafka://HOST:PORT,..."
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

    def has_topic(self, name: str) -> bool:
        """See `Log.has_topic`."""
        return self._file.topic(name) is not None

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
        from k2app.stream.kafka_cluster import cluster_of  # noqa: PLC0415 - as above

        self._admin = KafkaAdmin(cluster_of(settings))
        self._confirm_within_s = settings.kafka.confirm_within_s
        self.log_id = self._admin.cluster_id()

    def create_topic(self, name: str, partitions: int, *, compacted: bool = False) -> bool:
        """See `Log.create_topic`."""
        return self._admin.create_topic(name, partitions, compacted=compacted)

    def has_topic(self, name: str) -> bool:
        """See `Log.has_topic`."""
        return name in self._admin.partition_counts([name])

    def publisher(self) -> Publisher:
        """See `Log.publisher`."""
        from k2app.stream.kafka_publisher import KafkaPublisher  # noqa: PLC0415 - only where Kafka is used

        return KafkaPublisher(self._admin.cluster, self.log_id, self._confirm_within_s)

    def close(self) -> None:
        """Nothing is open between two calls."""
