"""Which names a server answers to: without keys those of its own machine, so that no page from elsewhere reads it."""

from __future__ import annotations

import socket

import pytest

from tests.processes import WITHIN_S
from tests.web.live import live, small_lake
from web.hosts import host_of

OWN = ("localhost", "LOCALHOST:6066", "localhost.", "127.0.0.1:80", "127.8.9.1", "[::1]:6066", "[::1]")

OTHERS = (
    "evil.example",
    "evil.example:6066",
    "127.0.0.1.evil.example",
    "0.0.0.0",  # noqa: S104 - nobody listens there
    "192.168.1.7:6066",
    "[::2]",
    "",
    "@",
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("hosts")) as found:
        yield found


@pytest.fixture(scope="module")
def site(lake):
    with live(lake, {"allowed_hosts": "K2.internal, , Gateway."}) as running:
        yield running


@pytest.mark.parametrize("host", [*OWN, "k2.internal", "K2.INTERNAL:443", "gateway"])
def test_names_of_this_machine_are_answered(site, host):
    """Whatever the port and the letters, and those that were configured."""
    assert 200 == site.get("/v1/stats", headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "path", ["/v1/stats", "/v1/replay", "/metrics", "/openapi.json", "/docs", "/nothing"]
)
@pytest.mark.parametrize("host", OTHERS)
def test_other_names_are_refused_with_what_to_set(site, path, host):
    """Nothing of the data, on any path."""
    answer = site.get(path, headers={"Host": host})
    assert (421, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    document = answer.json()
    assert "urn:k2:problem:misdirected" == document["type"]
    for way_out in ("localhost", "K2_WEB_ALLOWED_HOSTS", "k2 keys create"):
        assert way_out in document["detail"]


def test_health_is_told_under_any_name(site):
    """Supervisors ask by whatever address they have."""
    for path in ("/health/live", "/health/ready"):
        assert 200 == site.get(path, headers={"Host": "pod.example"}).status_code


def test_with_keys_any_name_is_answered(lake):
    """A page from elsewhere has no key; proxies keep the name that was asked for."""
    with live(lake, {"keys": "required"}) as locked:
        answer = locked.get("/v1/stats", headers={"Host": "k2.example"})
        assert 401 == answer.status_code
        assert 200 == locked.get("/docs", headers={"Host": "k2.example"}).status_code


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/stats HTTP/1.0\r\n\r\n", b"200"),
        (
            b"GET http://evil.example/v1/stats HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
            b"421",
        ),
    ],
)
def test_requests_that_no_browser_makes(site, head, status):
    """Without the header nothing is claimed; a whole URL claims what the header says."""
    with socket.create_connection(("127.0.0.1", site.port), WITHIN_S) as asking:
        asking.sendall(head)
        assert status == asking.makefile("rb").readline().split()[1]


def test_two_names_must_both_be_its_own(site):
    """Whichever one a proxy looked at."""
    head = b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port), WITHIN_S) as asking:
        asking.sendall(head)
        assert asking.makefile("rb").readline().split()[1] in {b"400", b"421"}


@pytest.mark.parametrize(
    ("header", "host"),
    [("A.B.:80", "a.b"), ("a", "a"), ("[::1]:80", "::1"), ("[::1", "::1"), (":80", ""), ("", "")],
)
def test_a_host_is_without_its_port(header, host):
    """As browsers write it, and as nobody does."""
    assert host == host_of(header)
