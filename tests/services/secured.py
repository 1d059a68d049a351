"""Servers that ask who is there: a Kafka with TLS and logins, a registry behind TLS and basic authentication."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.services import servers
from tests.services.certificates import Authority, Certificate, hashed
from tests.services.servers import Listener, free_port
from tests.services.tls_proxy import tls_proxy

USER = "k2-writer"


@dataclass(frozen=True)
class Secrets:
    """What must never be shown."""

    scram: str = "sCraM-53cret:with@signs/%41"
    plain: str = "pLaiN-53cret"
    key: str = "keY-53cret"
    registry: str = "r3gistry-53cret:with@signs"

    def all(self) -> tuple[str, ...]:
        return (self.scram, self.plain, self.key, self.registry)


@dataclass(frozen=True)
class SecuredKafka:
    """A broker's listeners by protocol; `plain_url` is the tests' own way in."""

    plain_url: str
    ports: dict[str, int]
    authority: Authority
    client: Certificate
    secrets: Secrets

    def environment(self, protocol: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """K2's variables for a listener."""
        found = {
            "K2_LOG_URL": f"kafka://127.0.0.1:{self.ports[protocol]}",
            "K2_KAFKA_SECURITY_PROTOCOL": protocol,
        }
        if protocol.endswith("SSL"):
            found["K2_KAFKA_CA_FILE"] = str(self.authority.certificate)
        if protocol == "SSL":
            found |= {
                "K2_KAFKA_CERTIFICATE_FILE": str(self.client.certificate),
                "K2_KAFKA_KEY_FILE": str(self.client.key),
                "K2_KAFKA_KEY_PASSWORD": self.secrets.key,
            }
        else:
            password = self.secrets.plain if mechanism == "PLAIN" else self.secrets.scram
            found |= {
                "K2_KAFKA_SASL_MECHANISM": mechanism,
                "K2_KAFKA_USERNAME": USER,
                "K2_KAFKA_PASSWORD": password,
            }
        return found


PROPERTIES = """\
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
"""

OF_LOGINS = """\
listener.name.{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.{name}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{plain}";
listener.name.{name}.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.{name}.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""

PROTOCOLS = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")


@contextlib.contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Run a broker with a listener of every protocol; that of SSL asks for a client's certificate."""
    secrets, authority = Secrets(), Authority(folder / "certificates")
    server, client = authority.certify("broker"), authority.certify(USER, secrets.key)
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    properties = PROPERTIES.format(server=server.both, authority=authority.certificate) + "".join(
        OF_LOGINS.format(name=name, user=USER, plain=secrets.plain) for name in ("sasl_plaintext", "sasl_ssl")
    )
    logins = [
        option
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for option in ("--add-scram", f"{mechanism}=[name={USER},password={secrets.scram}]")
    ]
    listeners = [Listener(protocol, protocol, port) for protocol, port in ports.items()]
    with servers.kafka(folder / "kafka", listeners, properties, logins) as plain_url:
        yield SecuredKafka(plain_url, ports, authority, client, secrets)


LOGIN = """\
auth_basic "registry";
auth_basic_user_file {folder}/users;
proxy_set_header Authorization "";
"""


@contextlib.contextmanager
def guarded_registry(
    folder: Path, upstream: str, authority: Authority, password: str, *, client_certificates: bool = False
) -> Iterator[str]:
    """Run a proxy with TLS and a login before a registry; yields the registry's URL through it."""
    folder.mkdir(parents=True, exist_ok=True)
    host, _, path = upstream.removeprefix("http://").partition("/")
    (folder / "users").write_text(f"{USER}:{hashed(password)}\n")
    with tls_proxy(
        folder,
        f"http://{host}",
        authority,
        LOGIN.format(folder=folder),
        client_certificates=client_certificates,
    ) as port:
        yield f"https://127.0.0.1:{port}/{path}"
