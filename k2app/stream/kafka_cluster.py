"""The cluster that the settings name: its addresses, and how it is spoken to.

Everything that connects to Kafka takes a `Cluster`; nothing else reads `K2_KAFKA_...`.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from faust.auth import Credentials, SASLCredentials, SSLCredentials

from k2app.errors import K2Error, OperatorError, TransientError
from k2app.settings import KafkaSettings, Settings
from k2app.stream import tls

SCHEME = "kafka://"

DEFAULT_PORT = 9092
"""Port of Kafka's own sample configuration."""

REASON_WITHIN_S = 5.0
"""Seconds in which a broker must say why it does not let us in."""

REFUSALS = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)
"""What brokers say to a login that will not work later either."""


@dataclass(frozen=True)
class Cluster:
    """A cluster.

    Parameters
    ----------
    url
        kafka://HOST:PORT,...
    servers
        Addresses.
    access
        aiokafka's arguments for encryption and login; they hold the password.
    """

    url: str
    servers: list[str]
    access: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def credentials(self) -> Credentials | None:
        """What Faust takes instead of `access`."""
        if not self.access:
            return None
        context = self.access["ssl_context"]
        if self.access["security_protocol"] == "SSL":
            return SSLCredentials(context)
        return SASLCredentials(
            username=self.access["sasl_plain_username"],
            password=self.access["sasl_plain_password"],
            mechanism=self.access["sasl_mechanism"],
            ssl_context=context,
        )

    async def refusal(self, error: BaseException) -> K2Error:
        """Why the cluster cannot be reached: by a broker's own words; aiokafka's `error` only says that it cannot."""
        for server in self.servers:
            host, _, port = server.rpartition(":")
            try:
                connection = await create_conn(
                    host, int(port), request_timeout_ms=int(REASON_WITHIN_S * 1000), **self.access
                )
                connection.close()
            except REFUSALS as refused:
                return OperatorError(
                    f"Kafka at {self.url} refuses user {self.access.get('sasl_plain_username')!r} "
                    f"({self.access.get('sasl_mechanism')}): {_words(refused)}; see K2_KAFKA_USERNAME, "
                    "K2_KAFKA_PASSWORD and K2_KAFKA_SASL_MECHANISM"
                )
            except ssl.SSLError as refused:
                return OperatorError(
                    f"no encrypted connection to Kafka at {server}: {_words(refused)}; see K2_KAFKA_SECURITY_PROTOCOL, "
                    "K2_KAFKA_CA_FILE and K2_KAFKA_CERTIFICATE_FILE"
                )
            except (OSError, KafkaError, TimeoutError):
                continue
        hint = "" if self.access else "; if it asks for encryption or a login, see K2_KAFKA_SECURITY_PROTOCOL"
        return TransientError(f"Kafka at {self.url} does not answer: {error!r}{hint}")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def cluster_of(settings: Settings) -> Cluster:
    """Cluster that the settings name.

    Raises
    ------
    OperatorError
        The URL is of another form; the settings of encryption and login contradict each other, or name files that
        cannot be used.
    """
    return Cluster(settings.log_url, servers(settings.log_url), access(settings.kafka))


def servers(url: str) -> list[str]:
    """Addresses that a `kafka://HOST:PORT,HOST:PORT` URL names.

    Raises
    ------
    OperatorError
        The URL is of another form.
    """
    if "@" in url:
        raise OperatorError(
            "K2_LOG_URL holds a user: Kafka's are set by K2_KAFKA_USERNAME and K2_KAFKA_PASSWORD, the URL is written "
            "kafka://HOST:PORT,HOST:PORT"
        )
    names = url.removeprefix(SCHEME).rstrip("/").split(",")
    if not url.startswith(SCHEME) or not all(names):
        raise OperatorError(f"K2_LOG_URL is {url!r}: Kafka is written kafka://HOST:PORT,HOST:PORT")
    return [name if ":" in name else f"{name}:{DEFAULT_PORT}" for name in names]


def access(settings: KafkaSettings) -> dict[str, Any]:
    """What aiokafka takes for encryption and login; none for plain connections.

    Raises
    ------
    OperatorError
        The settings contradict each other, or name files that cannot be used.
    """
    protocol = settings.security_protocol
    encrypted, logs_in = protocol.endswith("SSL"), protocol.startswith("SASL")
    _refuse_unused(settings, encrypted=encrypted, logs_in=logs_in)
    if protocol == "PLAINTEXT":
        return {}
    found: dict[str, Any] = {
        "security_protocol": protocol,
        "ssl_context": tls.context(settings, "K2_KAFKA") if encrypted else None,
    }
    if logs_in:
        found |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": settings.password.get_secret_value(),
        }
    return found


def _refuse_unused(settings: KafkaSettings, *, encrypted: bool, logs_in: bool) -> None:
    """A password that is not used, or a CA file that nothing is checked against, is a mistake that nobody notices."""
    protocol = settings.security_protocol
    if logs_in and not (settings.username and settings.password.get_secret_value()):
        raise OperatorError(
            f"K2_KAFKA_SECURITY_PROTOCOL is {protocol}: it takes K2_KAFKA_USERNAME and K2_KAFKA_PASSWORD "
            "(or K2_KAFKA_PASSWORD_FILE)"
        )
    if not logs_in and (settings.username or settings.password.get_secret_value()):
        raise OperatorError(
            f"K2_KAFKA_SECURITY_PROTOCOL is {protocol}, by which nobody logs in: set SASL_SSL (or SASL_PLAINTEXT), or "
            "unset K2_KAFKA_USERNAME and K2_KAFKA_PASSWORD"
        )
    if not encrypted and (settings.ca_file or settings.certificate_file or settings.key_file):
        raise OperatorError(
            f"K2_KAFKA_SECURITY_PROTOCOL is {protocol}, by which nothing is encrypted: set SSL or SASL_SSL, or unset "
            "K2_KAFKA_CA_FILE, K2_KAFKA_CERTIFICATE_FILE and K2_KAFKA_KEY_FILE"
        )
