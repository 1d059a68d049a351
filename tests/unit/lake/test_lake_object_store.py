"""What pyiceberg, Arrow and DuckDB are told of an object store and a database, and what their words mean."""

import duckdb
import pytest

from k2app.lake import sql_catalog
from k2app.lake.object_store import is_on_s3, refusal, s3_properties
from k2app.query.reading.duckdb_s3 import extension, reach_s3
from k2app.settings import LakeSettings, S3Settings, Settings

S3 = S3Settings(
    endpoint="http://host:9000",
    region="r",
    access_key_id="key",
    secret_access_key="it's secret",  # noqa: S106 - of nobody
)


def test_settings_become_pyiceberg_properties():
    """Only those that are set; further ones are added, and win."""
    lake = LakeSettings(properties={"s3.region": "other", "s3.proxy-uri": "http://p", "gcs.project-id": "x"})
    found = s3_properties(Settings(s3=S3, lake=lake))
    assert {
        "s3.endpoint": "http://host:9000",
        "s3.region": "other",
        "s3.access-key-id": "key",
        "s3.secret-access-key": "it's secret",
        "s3.connect-timeout": "5.0",
        "s3.request-timeout": "30.0",
        "s3.proxy-uri": "http://p",
    } == found


@pytest.mark.parametrize(
    ("location", "found"),
    [("s3://b/x", True), ("s3a://b/x", True), ("gs://b/x", False), ("/s3://b", False), ("file:///x", False)],
)
def test_locations_on_s3(location, found):
    """By their scheme."""
    assert found == is_on_s3(location)


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        ("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload", "bucket does not exist"),
        ("AWS Error ACCESS_DENIED during HeadObject operation", "refuses the credentials"),
        (
            "AWS Error UNKNOWN (HTTP status 400) during HeadObject operation: No response body.",
            "K2_S3_REGION",
        ),
        ("AWS Error UNKNOWN (HTTP status 400) during PutObject: ExpiredToken", "refuses the credentials"),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 28", None),
        ("AWS Error SLOW_DOWN during PutObject operation", None),
        ("AWS Error UNKNOWN (HTTP status 500) during PutObject operation", None),
        ("No space left on device", None),
    ],
)
def test_refusals_are_told_from_outages(said, way_out):
    """A refusal needs a person, an outage goes away."""
    found = refusal(OSError(said))
    assert (way_out is None) == (found is None)
    assert way_out is None or way_out in found


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://k2:s%40cret@db:5432/k2", "postgresql://k2:***@db:5432/k2"),
        ("sqlite:////var/k2/catalog.db", "sqlite:////var/k2/catalog.db"),
        ("https://catalog/api", "https://catalog/api"),
        ("postgresql:/k2:secret@db", "postgresql:... (not a URI)"),
    ],
)
def test_shown_uri_has_no_password(uri, expected):
    """Whatever its form."""
    assert expected == sql_catalog.shown(uri)


def test_duckdb_takes_the_same_settings():
    """The extension is there, of the right version; keys may hold any letter, and are not shown."""
    assert extension("httpfs").is_file()
    with duckdb.connect() as connection:
        reach_s3(connection, "s3://bucket/a lake's/", s3_properties(Settings(s3=S3)))
        (found,) = connection.execute("SELECT secret_string FROM duckdb_secrets()").fetchone()
    parts = dict(part.split("=", 1) for part in found.split(";"))
    assert ("s3://bucket/a lake's/", "host:9000", "path", "false", "redacted") == tuple(
        parts[name] for name in ("scope", "endpoint", "url_style", "use_ssl", "secret")
    )


@pytest.mark.parametrize(
    ("given", "style", "tls"),
    [
        ({"access_key_id": "key"}, "vhost", "true"),
        ({"access_key_id": "key", "endpoint": "https://h", "virtual_hosts": True}, "vhost", "true"),
        ({"access_key_id": "key", "endpoint": "http://h"}, "path", "false"),
    ],
)
def test_buckets_of_aws_are_host_names(given, style, tls):
    """Where no server is named, and where the named one has them so."""
    with duckdb.connect() as connection:
        reach_s3(connection, "s3://bucket/", s3_properties(Settings(s3=S3Settings(**given))))
        (found,) = connection.execute("SELECT secret_string FROM duckdb_secrets()").fetchone()
    parts = dict(part.split("=", 1) for part in found.split(";"))
    assert tls == parts["use_ssl"]
    assert style in parts.get("url_style", "vhost")
