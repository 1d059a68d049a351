"""Passwords in what people see."""

import json

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from k2app.errors import OperatorError
from k2app.lake.sql_catalog import shown
from k2app.passwords import without_passwords
from web.streaming import _told


def test_passwords_of_urls_are_left_out():
    """Whoever wrote them into the text; what only looks like one stays."""
    told = "no answer of postgresql://k2:s3cr=t!@db:5432/k2 and http://me:p@q@h:1/x; see kafka://a:9092, mail me@b:c@d"
    assert (
        "no answer of postgresql://k2:***@db:5432/k2 and http://me:***@h:1/x; see kafka://a:9092, mail me@b:c@d"
    ) == without_passwords(told)


def test_passwords_of_queries_are_left_out():
    """Where databases and object stores take them, too."""
    told = "postgresql://db/k2?user=k2&password=s3cret&x=1 and http://h/cat?token=abc"
    assert "postgresql://db/k2?user=k2&password=***&x=1 and http://h/cat?token=***" == without_passwords(told)


@given(st.text(alphabet="ab:/@?&=\\\"' \n", max_size=40), st.sampled_from(["http://u:p", "?token=", "://"]))
def test_json_stays_json(text, before):
    """Lines of the log and answers are masked as they go out."""
    assert isinstance(json.loads(without_passwords(json.dumps({"said": f"{before}{text}"})))["said"], str)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://bob:hunter2@host/cat", "http://bob:***@host/cat"),
        ("https://bob:hunter2@host:8181/cat?x=1", "https://bob:***@host:8181/cat?x=1"),
        ("http://bob:hun@ter2@host/cat", "http://bob:***@host/cat"),
        ("http://bob:hun/ter2@host/cat", "http:... (not a URI)"),
        ("http://host:8181/cat", "http://host:8181/cat"),
        ("http://bob@host/cat", "http://bob@host/cat"),
        ("postgresql://k2:hunter2@db/k2", "postgresql://k2:***@db/k2"),
        ("postgresql://db/k2?password=hunter2", "postgresql://db/k2?password=***"),
        ("no uri: hunter2", "no uri:... (not a URI)"),
    ],
)
def test_uri_of_a_catalog_is_shown_without_its_password(uri, expected):
    """Whatever kind of catalog it is; what cannot be taken apart is not shown."""
    assert expected == shown(uri)


def test_answer_that_breaks_off_tells_no_password():
    """Its last line says why, to whoever asked."""
    error = OperatorError("http://bob:hunter2@host/cat is away")
    assert "http://bob:***@host/cat is away" == _told(make_mocked_request("GET", "/v1/trades"), error)
