"""Files that name authorities are checked before anything connects; distrust is told from other trouble."""

from pathlib import Path

import certifi
import duckdb
import pytest
from requests.exceptions import SSLError
from sqlalchemy.exc import OperationalError

from k2app.errors import OperatorError
from k2app.lake.catalog import open_catalog
from k2app.lake.object_store import s3_properties
from k2app.lake.trust import S3_CA_FILE, TrustingFileIO, distrust
from k2app.query.reading.duckdb_s3 import reach_s3
from k2app.settings import LakeSettings, S3Settings, Settings

HTTPS = "https://host:9000"


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory):
    """A certificate of some authority."""
    file = tmp_path_factory.mktemp("trust") / "it's ca.pem"
    text = Path(certifi.where()).read_text(encoding="utf-8")
    file.write_text(text[: text.index("-----END CERTIFICATE-----") + 26])
    return file


@pytest.mark.parametrize(
    ("lake", "message"),
    [
        ({}, "K2_LAKE_URI is sqlite://, by which nothing is encrypted"),
        ({"uri": "http://host/api"}, "K2_LAKE_URI is http://, by which nothing is encrypted"),
        ({"uri": "postgresql://k2:s3cret@h/k2?sslmode=prefer"}, "sslmode=prefer, by which no certificate is"),
    ],
)
def test_authority_of_a_catalog_that_would_not_be_used_is_refused(lake, message, ca_file, tmp_path):
    """Whoever names one wants it checked."""
    settings = Settings(home=tmp_path, lake=LakeSettings(ca_file=ca_file, **lake))
    with pytest.raises(OperatorError, match=message) as refused:
        open_catalog(settings)
    assert "s3cret" not in str(refused.value)


def test_authority_of_a_store_that_does_not_encrypt_is_refused(ca_file, tmp_path):
    """As Kafka's is."""
    s3 = S3Settings(endpoint="http://host:9000", ca_file=ca_file)
    with pytest.raises(OperatorError, match="K2_S3_ENDPOINT is http://, by which nothing is encrypted"):
        open_catalog(Settings(home=tmp_path, s3=s3))


@pytest.mark.parametrize(
    "given",
    [
        {"s3": {"endpoint": HTTPS}},
        {"lake": {"uri": "https://host/api"}},
        {"lake": {"uri": "postgres://h/k2"}},
    ],
)
def test_file_that_names_no_authority_is_said_at_once(given, tmp_path):
    """The variable and the file are named, nothing of what is in it; nobody connects."""
    (group, settings) = next(iter(given.items()))
    file = tmp_path / "ca.pem"
    for why in ("No such file", "holds no certificates in PEM"):
        with pytest.raises(
            OperatorError, match=f"K2_{group.upper()}_CA_FILE: {file}(: {why}| {why})"
        ) as refused:
            open_catalog(Settings(home=tmp_path, **{group: settings | {"ca_file": file}}))
        file.write_text("s3cret")
    assert "s3cret" not in str(refused.value)


def test_arrow_and_duckdb_are_told_the_same_authority(ca_file):
    """Whatever the file is called; what else pyiceberg's properties say stays."""
    s3 = S3Settings(
        endpoint=HTTPS,
        region="r",
        access_key_id="key",
        secret_access_key="s",  # noqa: S106 - of nobody
        connect_timeout_s=7,
        ca_file=ca_file,
    )
    properties = s3_properties(Settings(s3=s3))
    _, (made,) = TrustingFileIO(properties).fs_by_scheme("s3", "bucket").__reduce__()
    assert (str(ca_file), HTTPS, "r", "key", 7.0) == tuple(
        made[name]
        for name in ("tls_ca_file_path", "endpoint_override", "region", "access_key", "connect_timeout")
    )
    with duckdb.connect() as connection:
        reach_s3(connection, "s3://bucket/", properties)
        (found,) = connection.execute("SELECT current_setting('ca_cert_file')").fetchone()
    assert properties[S3_CA_FILE] == found == str(ca_file)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (
            OSError("AWS Error NETWORK_CONNECTION: curlCode: 60, SSL peer certificate or SSH remote"),
            "object store",
        ),
        (duckdb.IOException("IO Error: SSL peer certificate or SSH remote key was not OK"), "object store"),
        (OSError("AWS Error NETWORK_CONNECTION: curlCode: 35, SSL connect error"), None),
        (SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "catalog"),
        (SSLError("[SSL: UNEXPECTED_EOF_WHILE_READING]"), None),
        (OperationalError("", {}, Exception("SSL error: certificate verify failed")), "database"),
        (OperationalError("", {}, Exception('root certificate file "x" does not exist')), "database"),
        (OperationalError("", {}, Exception("SSL connection has been closed unexpectedly")), None),
    ],
)
def test_distrust_is_told_from_outages(error, part):
    """What is not trusted needs a person; a connection that broke while it was made does not."""
    found = distrust(error)
    assert (part is None) == (found is None)
    assert part is None or f"the certificate of the {part} is not trusted: see K2_" in found
