"""Kafka by SASL and TLS, the registry by basic authentication and TLS; what is secret is never shown."""

import json
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from k2app.errors import OperatorError, TransientError
from k2app.settings import RegistrySettings
from k2app.stream.logs_by_url import open_log
from k2app.stream.registry import HttpRegistry
from tests.pipeline.homes import WORKER_S, counting, trades, wait_until
from tests.services.certificates import Authority
from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.secured import USER, guarded_registry, secured_kafka
from tests.services.servers import free_port

WAYS = [
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SASL_SSL", "SCRAM-SHA-256"),
    ("SASL_SSL", "PLAIN"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
    ("SSL", ""),
]

WIDE = {"COLUMNS": "400"}
"""A terminal that breaks no secret into two lines."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A Kafka that asks who is there."""
    with secured_kafka(tmp_path_factory.mktemp("secured")) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, kafka, registry_url):
    """The registry behind TLS and a login."""
    folder = tmp_path_factory.mktemp("guarded")
    with guarded_registry(folder, registry_url, kafka.authority, kafka.secrets.registry) as url:
        yield {
            "K2_REGISTRY_URL": url,
            "K2_REGISTRY_USERNAME": USER,
            "K2_REGISTRY_PASSWORD": kafka.secrets.registry,
            "K2_REGISTRY_CA_FILE": str(kafka.authority.certificate),
        }


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_rows_come_by_every_way_in(kafka, guarded, tmp_path, protocol, mechanism):
    """Loader, administration, worker, its states and `k2 status` all log in and encrypt as the settings say."""
    home = MarketHome(
        tmp_path / "home", new_exchange(), **kafka.environment(protocol, mechanism or "PLAIN"), **guarded
    )
    with closing(home):
        home.publish(trades(counting(3, 100)))
        home.drain()
        assert 300 == home.committed_rows()
        assert 0 == json.loads(home.k2("status", "-o", "json"))["lag_rows"]


def test_secrets_come_from_files(kafka, guarded, tmp_path):
    """A mounted file gives what its variable would; a line break at its end is no part of the secret."""
    environment = kafka.environment("SASL_SSL") | guarded | WIDE
    for name in ("K2_KAFKA_PASSWORD", "K2_REGISTRY_PASSWORD"):
        file = tmp_path / name
        file.write_text(environment.pop(name) + "\n")
        environment[f"{name}_FILE"] = str(file)
    home = MarketHome(tmp_path / "home", new_exchange(), **environment)
    with closing(home):
        home.publish(trades(counting(2, 10)))
        home.drain()
        assert 20 == home.committed_rows()
        assert "K2_KAFKA_PASSWORD_FILE" in home.k2("config")


# --- refusals


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"K2_KAFKA_PASSWORD": "wr0ng"}, f"refuses user '{USER}' .SCRAM-SHA-512.*K2_KAFKA_PASSWORD"),
        ({"K2_KAFKA_USERNAME": "nobody"}, "refuses user 'nobody'"),
        ({"K2_KAFKA_CA_FILE": ""}, "no encrypted connection.*CERTIFICATE_VERIFY_FAILED.*K2_KAFKA_CA_FILE"),
    ],
)
def test_wrong_login_is_said_at_once(kafka, guarded, tmp_path, changed, message):
    """A login that will never work is a person's to mend: the broker's reason and the settings are named."""
    environment = kafka.environment("SASL_SSL") | guarded | changed
    home = MarketHome(tmp_path / "home", new_exchange(), **environment)
    with pytest.raises(OperatorError, match=message) as refused:
        open_log(home.settings)
    assert "wr0ng" not in str(refused.value)


def test_plain_client_at_a_guarded_door_gets_a_hint(kafka, tmp_path):
    """Without settings for encryption the broker just hangs up; the message says what may be missing."""
    url = kafka.environment("SASL_SSL")["K2_LOG_URL"]
    home = MarketHome(tmp_path / "home", new_exchange(), K2_LOG_URL=url)
    with pytest.raises(TransientError, match=r"does not answer.*K2_KAFKA_SECURITY_PROTOCOL"):
        open_log(home.settings)


def test_other_authority_is_not_trusted(kafka, guarded, tmp_path):
    """A server whose certificate another authority made is not spoken to, by Kafka's client nor the registry's."""
    other = str(Authority(tmp_path / "other", "Somebody else").certificate)
    environment = kafka.environment("SASL_SSL") | guarded
    home = MarketHome(tmp_path / "home", new_exchange(), **environment | {"K2_KAFKA_CA_FILE": other})
    with pytest.raises(OperatorError, match="CERTIFICATE_VERIFY_FAILED"):
        open_log(home.settings)
    home = MarketHome(tmp_path / "home2", new_exchange(), **environment | {"K2_REGISTRY_CA_FILE": other})
    with pytest.raises(
        OperatorError, match=r"no encrypted connection to the schema registry.*K2_REGISTRY_CA_FILE"
    ):
        _ = home.opened


def test_registry_that_refuses_the_login_is_a_persons_to_mend(guarded):
    """At the start the settings are wrong; later nothing is known about the messages, and they wait."""
    wrong = {"username": USER, "password": "wr0ng", "ca_file": guarded["K2_REGISTRY_CA_FILE"]}
    registry = HttpRegistry(RegistrySettings(url=guarded["K2_REGISTRY_URL"], **wrong))
    with pytest.raises(OperatorError, match=r"refuses the login \(HTTP 401\); see K2_REGISTRY_USERNAME"):
        registry.register("trades-value", {"type": "record", "name": "X", "fields": []})
    with pytest.raises(TransientError, match="refuses the login"):
        registry.schema(1)


def test_registry_may_ask_for_a_certificate(kafka, registry_url, tmp_path):
    """A registry that lets only known clients in is shown the certificate, its key decrypted."""
    secrets = kafka.secrets
    with guarded_registry(
        tmp_path / "nginx", registry_url, kafka.authority, secrets.registry, client_certificates=True
    ) as url:
        settings = {
            "url": url,
            "username": USER,
            "password": secrets.registry,
            "ca_file": kafka.authority.certificate,
        }
        shown = {
            "certificate_file": kafka.client.certificate,
            "key_file": kafka.client.key,
            "key_password": secrets.key,
        }
        assert HttpRegistry(RegistrySettings(**settings, **shown)).schema(987_654_321) is None
        with pytest.raises(TransientError, match="HTTP 400, not a registry's answer"):
            HttpRegistry(RegistrySettings(**settings)).schema(987_654_321)


# --- what is secret


def test_secrets_are_never_shown(kafka, guarded, tmp_path):
    """Worker, load, status, config, init, metrics, problems and failed logins, at the most talkative level."""
    port = str(free_port())
    environment = (
        kafka.environment("SASL_SSL")
        | guarded
        | {
            "K2_KAFKA_CERTIFICATE_FILE": str(kafka.client.certificate),
            "K2_KAFKA_KEY_FILE": str(kafka.client.key),
            "K2_KAFKA_KEY_PASSWORD": kafka.secrets.key,
            "K2_LOGS_LEVEL": "debug",
            "K2_WEB_PORT": port,
        }
        | WIDE
    )
    home = MarketHome(tmp_path / "home", new_exchange(), **environment)
    seen = []
    file = tmp_path / "trades.csv"
    file.write_text(
        "symbol,timestamp,price,quantity,sequence\nS,2026-01-05T00:00:00Z,1,1,1\nS,nonsense,1,1,2\n"
    )
    load = ["load", str(file), "--exchange", home.exchange, "--type", "trades"]
    with closing(home), home.worker(K2_WEB_ENABLED="true", K2_FLUSH_INTERVAL_S="0.1") as worker:
        seen += [home.said(*command) for command in (["init"], load, ["config"], ["status"], ["loads"])]
        wait_until(lambda: home.committed_rows() == 1, "the row in the lake")
        paths = ("metrics", "health/ready", "v1/trades?limit=none", "v1/nothing", "openapi.json")
        seen += [get(f"http://127.0.0.1:{port}/{path}") for path in paths]
        worker.stop()
        seen.append(worker.printed())
    swapped = {"K2_KAFKA_PASSWORD": kafka.secrets.plain, "K2_REGISTRY_PASSWORD": kafka.secrets.plain}
    for name, value in [*swapped.items(), ("K2_KAFKA_KEY_PASSWORD", kafka.secrets.plain)]:
        home.environment[name] = value
        seen += [
            home.said(*command, status=0 if command == ["config"] else 2)
            for command in (["init"], load, ["config"], ["worker", "--drain"])
        ]
        home.environment[name] = environment[name]
    assert [] == [(secret, text) for text in seen for secret in kafka.secrets.all() if secret in text]
    assert [] == leaks(tmp_path / "home", kafka.secrets.all())
    assert sum("********" in text for text in seen) == 1 + len(swapped) + 1


def get(url: str) -> str:
    """Body of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=WORKER_S) as answer:  # noqa: S310 - ours
            return answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.read().decode()


def leaks(folder, secrets):
    """Files that hold a secret."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [
        (str(path), secret) for path in files for secret in secrets if secret.encode() in path.read_bytes()
    ]
