"""Settings of encryption and login: what aiokafka and Faust are given, and what is refused."""

import pytest
from faust.auth import SASLCredentials, SSLCredentials

from k2app.errors import OperatorError
from k2app.settings import KafkaSettings, Settings
from k2app.stream.kafka_cluster import Cluster, access, cluster_of

LOGIN = {"username": "k2", "password": "s3cret"}


def test_plain_connections_take_nothing():
    """The default is what a broker without configuration takes."""
    assert {} == access(KafkaSettings())
    assert Cluster("kafka://a", ["a:9092"]).credentials() is None


def test_login_without_encryption():
    """SASL alone has no TLS context; Faust is told the same."""
    found = access(KafkaSettings(security_protocol="SASL_PLAINTEXT", **LOGIN))
    assert ("SASL_PLAINTEXT", "SCRAM-SHA-512", None) == tuple(
        found[name] for name in ("security_protocol", "sasl_mechanism", "ssl_context")
    )
    credentials = Cluster("kafka://a", ["a:9092"], found).credentials()
    assert isinstance(credentials, SASLCredentials)
    assert ("k2", "s3cret", "SASL_PLAINTEXT") == (
        credentials.username,
        credentials.password,
        credentials.protocol.value,
    )


def test_encryption_without_login():
    """The system's authorities vouch for the brokers, and host names are checked."""
    found = access(KafkaSettings(security_protocol="SSL"))
    assert found["ssl_context"].check_hostname
    assert isinstance(Cluster("kafka://a", ["a:9092"], found).credentials(), SSLCredentials)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"security_protocol": "SASL_SSL"}, "it takes K2_KAFKA_USERNAME and K2_KAFKA_PASSWORD"),
        ({"security_protocol": "SASL_SSL", "username": "k2"}, "it takes K2_KAFKA_USERNAME"),
        (LOGIN, "is PLAINTEXT, by which nobody logs in"),
        ({"security_protocol": "SSL", "password": "s3cret"}, "is SSL, by which nobody logs in"),
        ({"ca_file": "ca.pem"}, "is PLAINTEXT, by which nothing is encrypted"),
        ({"security_protocol": "SASL_PLAINTEXT", "key_file": "k", **LOGIN}, "by which nothing is encrypted"),
        ({"security_protocol": "SSL", "key_file": "k.pem"}, "K2_KAFKA_KEY_FILE is set without"),
        ({"security_protocol": "SSL", "ca_file": "none.pem"}, "K2_KAFKA_CA_FILE: none.pem: No such file"),
        (
            {"security_protocol": "SSL", "certificate_file": "none.pem"},
            "K2_KAFKA_CERTIFICATE_FILE: none.pem: No",
        ),
    ],
)
def test_contradictions_are_refused(given, message):
    """A password that nobody is shown, or a file that is not there, is said before anything connects."""
    with pytest.raises(OperatorError, match=message) as refused:
        access(KafkaSettings(**given))
    assert "s3cret" not in str(refused.value)


def test_file_that_is_no_certificate_is_refused(tmp_path):
    """The variable and the file are named; nothing of what is in it."""
    file = tmp_path / "ca.pem"
    file.write_text("s3cret")
    for name in ("ca_file", "certificate_file"):
        with pytest.raises(OperatorError, match=f"K2_KAFKA_{name.upper()}: .*ca.pem") as refused:
            access(KafkaSettings(security_protocol="SSL", **{name: file}))
        assert "s3cret" not in str(refused.value)


def test_password_is_not_in_the_url():
    """A URL with a user is refused, and not repeated."""
    with pytest.raises(OperatorError, match="K2_LOG_URL holds a user") as refused:
        cluster_of(Settings(log={"url": "kafka://k2:s3cret@a:1"}))
    assert "s3cret" not in str(refused.value)


def test_cluster_is_shown_without_its_password():
    """Whatever prints it, a traceback's locals for example, prints no secret."""
    found = access(KafkaSettings(security_protocol="SASL_PLAINTEXT", **LOGIN))
    assert "s3cret" not in repr(Cluster("kafka://a", ["a:9092"], found))
