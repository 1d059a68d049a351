"""What a client can get wrong over HTTP, and the exact answer to each."""

from __future__ import annotations

import socket
import time

import httpx
import pytest

from tests.web.live import live, small_lake
from web.connections import MAX_HEADER_BYTES, MAX_URL_BYTES

TAKES = "takes ISO-8601 with a zone (2025-01-31T09:30:00Z) or an integer epoch with its unit (1738315800s, ms, us, ns)"
KNOWN = "known are asx, binance"
INTERVAL = "takes a whole number and its unit, 1s to 3700d: s, m, h, d, w"
ONE_PIN = "both say which snapshot answers; give one of them"
NO_CURSOR = "is not one that K2 gave out; start without it"
BIG = 10_000_000
"""Bytes of what is too much."""

WAIT_S = 20.0

REFUSED = [
    # exchanges and times
    ("/v1/trades?exchange=asxx", "exchange", "'asxx' is no exchange here; " + KNOWN),
    ("/v1/trades?exchange=asxx", "exchange", "did you mean asx?"),
    (
        "/v1/summary?start_date=2026-01-05&exchange=nasdaq",
        "exchange",
        "'nasdaq' is no exchange here; " + KNOWN,
    ),
    ("/v1/symbols?exchange=x", "exchange", "'x' is no exchange here; " + KNOWN),
    ("/v1/trades?start=2s&end=1s", "end", "is the same as start, or before start; ranges are [start, end)"),
    ("/v1/trades?start=2s&end=2s", "end", "is the same as start, or before start; ranges are [start, end)"),
    ("/v1/trades?start=2026-01-05T00:00:00", "start", f"'2026-01-05T00:00:00' has no zone; {TAKES}"),
    ("/v1/quotes?end=2026-01-05", "end", f"'2026-01-05' has no zone; {TAKES}"),
    ("/v1/gaps?start=12", "start", f"'12' has no unit; {TAKES}"),
    ("/v1/trades?end=tomorrow", "end", f"'tomorrow' is not a time; {TAKES}"),
    ("/v1/trades?end=99999999999999s", "end", f"'99999999999999s' is outside the years 1 to 9999; {TAKES}"),
    ("/v1/trades?start=2026-01-05T00:00:00+10:00", "start", "; a + in a URL is written %2B"),
    ("/v1/summary/BHP/2026-02-30", "date", "'2026-02-30' is not a date; takes YYYY-MM-DD"),
    ("/v1/summary?start_date=20260105", "start_date", "'20260105' is not a date; takes YYYY-MM-DD"),
    (
        "/v1/summary?start_date=2026-01-05&end_date=2026-01-05",
        "end_date",
        "is start_date itself, before it, or more",
    ),
    ("/v1/summary?start_date=2026-01-05&end_date=2046-01-05", "end_date", "more than 3700 days after it"),
    ("/v1/summary", "start_date", "Field required"),
    # limits and cursors
    ("/v1/trades?limit=0", "limit", "Input should be greater than or equal to 1; got '0'"),
    ("/v1/trades?limit=-1", "limit", "Input should be greater than or equal to 1; got '-1'"),
    ("/v1/trades?limit=100001", "limit", "is at most 100000 (K2_QUERY_MAX_ROWS); page with cursor"),
    ("/v1/trades?limit=99999999999", "limit", "Input should be less than 2147483648; got '99999999999'"),
    ("/v1/trades?limit=1.5", "limit", "unable to parse string as an integer; got '1.5'"),
    ("/v1/trades?limit=", "limit", "unable to parse string as an integer; got ''"),
    ("/v1/trades?limit=1&limit=2", "limit", "is given more than once"),
    ("/v1/trades?cursor=x", "cursor", NO_CURSOR),
    ("/v1/trades?cursor=%00%ff", "cursor", NO_CURSOR),
    # which snapshot
    ("/v1/trades?snapshot_id=x", "snapshot_id", "unable to parse string as an integer; got 'x'"),
    ("/v1/trades?snapshot_id=1&as_of=1s", "as_of", f"takes no snapshot_id beside it: {ONE_PIN}"),
    ("/v1/trades?snapshot_id=1&tag=x", "tag", f"takes no snapshot_id beside it: {ONE_PIN}"),
    ("/v1/trades?as_of=1s&tag=x", "tag", f"takes no as_of beside it: {ONE_PIN}"),
    ("/v1/trades?tag=nope", "tag", "there is no tag 'nope'"),
    ("/v1/trades?snapshots=trades", "snapshots", "'trades' is not a table's snapshot; takes TABLE:ID"),
    # intervals
    ("/v1/bars?interval=0m", "interval", f"'0m' is not an interval; {INTERVAL}"),
    ("/v1/bars?interval=5x", "interval", f"'5x' is not an interval; {INTERVAL}"),
    ("/v1/bars?interval=", "interval", f"'' is not an interval; {INTERVAL}"),
    ("/v1/bars?interval=1.5m", "interval", f"'1.5m' is not an interval; {INTERVAL}"),
    ("/v1/bars?interval=99999999999w", "interval", f"'99999999999w' is not an interval; {INTERVAL}"),
    ("/v1/bars?interval=30h&align=session", "interval", "30h is no whole number of days"),
    ("/v1/bars?exchange=asxx", "exchange", "did you mean asx?"),
    ("/v1/bars?limit=100001", "limit", "is at most 100000 (K2_QUERY_MAX_ROWS)"),
    # names and choices
    ("/v1/trades?symbl=BHP", "symbl", "is not a parameter here; the nearest is symbol"),
    ("/v1/trades?Limit=1", "Limit", "is not a parameter here; the nearest is limit"),
    ("/v1/stats?symbol=BHP", "symbol", "is not a parameter here; the nearest is"),
    ("/v1/trades?symbol=", "symbol", "String should have at least 1 character; got ''"),
    (f"/v1/trades?symbol={'x' * 257}", "symbol", "String should have at most 256 characters; got 'xxx"),
    ("/v1/trades?" + "&".join(["symbol=x"] * 1001), "symbol", "at most 1000"),
    ("/v1/trades?order=up", "order", "Input should be 'asc' or 'desc'; got 'up'"),
    ("/v1/gaps?data_type=bars", "data_type", "Input should be 'trades' or 'quotes'; got 'bars'"),
    ("/v1/gaps?open_only=true&events=true", "open_only", "takes no events beside it"),
    ("/v1/trades?numbers=maybe", "numbers", "unable to interpret input; got 'maybe'"),
    (
        "/v1/trades?format=xml",
        "format",
        "Input should be 'json', 'ndjson', 'csv', 'arrow' or 'parquet'; got 'xml'",
    ),
    ("/v1/trades?columns=nope", "columns", "trades have no column 'nope'; the nearest is"),
    ("/v1/trades?min_price=1e3", "min_price", "'1e3' is not a decimal of at most 10 digits"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("bad")) as lake, live(lake) as running:
        yield running


def problem(answer):
    """The document, after a look at what every problem has."""
    assert "application/problem+json" == answer.headers["Content-Type"]
    found = answer.json()
    assert answer.status_code == found["status"]
    assert {"type", "title", "detail"} <= set(found)
    return found


@pytest.mark.parametrize(("path", "parameter", "says"), REFUSED)
def test_a_wrong_parameter_is_named_with_what_it_takes(site, path, parameter, says):
    """400, the parameter, and the detail; the same one for each kind of fault."""
    found = problem(site.get(path))
    assert (400, "urn:k2:problem:request", parameter) == (found["status"], found["type"], found["parameter"])
    assert found["detail"].startswith(f"{parameter}: ")
    assert says in found["detail"]


def test_an_unknown_symbol_is_no_error(site):
    """Nothing is known of all symbols: no rows, and a warning."""
    answer = site.get("/v1/trades?symbol=NOPE")
    assert (200, []) == (answer.status_code, answer.json()["rows"])
    warned = [one for one in answer.json()["warnings"] if one["code"] == "unknown_symbol"]
    assert ["no trades of 'NOPE' at all in this snapshot"] == [one["message"] for one in warned]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [("/v1/trades?snapshot_id=1", "snapshot_id"), ("/v1/trades?snapshots=trades:1", "snapshots")],
)
def test_a_snapshot_that_is_gone_is_410(site, path, parameter):
    """It may have been there; as_of is the way out."""
    found = problem(site.get(path))
    assert (410, "urn:k2:problem:gone", parameter) == (found["status"], found["type"], found["parameter"])
    assert "as_of asks for what was known at a time" in found["detail"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (lambda path, cursor: f"{path}&cursor={cursor[:-2]}", "cursor"),
        (
            lambda path, cursor: (
                f"{path}&cursor={cursor[:30]}{'A' if cursor[30] != 'A' else 'B'}{cursor[31:]}"
            ),
            "changed",
        ),
        (
            lambda path, cursor: f"{path}&symbol=BHP&cursor={cursor}",
            "other parameters; repeat those of the first page",
        ),
        (
            lambda _, cursor: f"/v1/quotes?limit=2&cursor={cursor}",
            "other parameters; repeat those of the first page",
        ),
    ],
    ids=["cut", "changed", "other parameters", "other query"],
)
def test_a_cursor_holds_for_its_question_only(site, changed, says):
    """400: cut, changed, or from another query."""
    path = "/v1/trades?limit=2"
    cursor = site.get(path).json()["next"]
    assert 200 == site.get(f"{path}&cursor={cursor}").status_code
    found = problem(site.get(changed(path, cursor)))
    assert (400, "cursor") == (found["status"], found["parameter"])
    assert says in found["detail"]


SQL = "x' OR 1=1; DROP TABLE trades; --"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/trades?symbol={}", "/v1/quotes?symbol={}", "/v1/gaps?symbol={}", "/v1/trades?conditions={}"),
        *("/v1/trades?exchange={}", "/v1/trades?columns={}", "/v1/trades?cursor={}", "/v1/trades?order={}"),
        *("/v1/trades?start={}", "/v1/trades?tag={}", "/v1/trades?snapshots={}", "/v1/trades?min_price={}"),
        *("/v1/trades?{}=1", "/v1/gaps?data_type={}", "/v1/gaps?exchange={}", "/v1/symbols?exchange={}"),
        *("/v1/summary/{}/2026-01-05", "/v1/summary/BHP/{}", "/v1/summary?start_date=2026-01-05&exchange={}"),
        *("/v1/summary/BHP/2026-01-05?exchange={}", "/v1/stats?as_of={}", "/v1/{}"),
    ],
)
@pytest.mark.parametrize("hostile", [SQL, '"; SELECT 1', "$filter_0", "%' --", "read_csv('/etc/passwd')"])
def test_sql_in_a_parameter_is_text(site, path, hostile):
    """It matches nothing, or is refused by name; it never runs, and never breaks a statement."""
    answer = site.get(path.replace("{}", str(httpx.QueryParams({"q": hostile}))[2:].replace("+", "%20")))
    assert answer.status_code in {200, 400, 404}
    if answer.status_code == 200:
        assert [] == answer.json()["rows"]
    assert 5 == len(site.get("/v1/trades").json()["rows"])


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/v1/trade", "/v1/trades"),
        ("/v2/quotes", "/v1/quotes"),
        ("/metrics/", "/metrics"),
        ("/health", "/health/live"),
    ],
)
def test_an_unknown_path_names_the_nearest(site, path, nearest):
    """404 as a problem."""
    found = problem(site.get(path))
    assert (404, f"GET {path}: there is nothing here; the nearest is {nearest}") == (
        found["status"],
        found["detail"],
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_another_method_is_405_with_what_is_allowed(site, method):
    """Nothing here is changed by a query."""
    answer = site.client.request(method, "/v1/trades")
    assert (405, f"{method} /v1/trades: this takes GET, HEAD") == (
        answer.status_code,
        problem(answer)["detail"],
    )
    assert "GET, HEAD" == answer.headers["Allow"]


def test_an_accept_header_without_any_of_ours_is_named(site):
    """400: what there is, and the parameter that says the same."""
    found = problem(site.get("/v1/trades", headers={"Accept": "image/png"}))
    assert (400, "Accept") == (found["status"], found["parameter"])
    assert found["detail"].startswith(
        "Accept: names none of application/json, application/x-ndjson, text/csv,"
    )


@pytest.mark.parametrize(("method", "status"), [("GET", 413), ("POST", 405)])
def test_ten_megabytes_of_body_are_not_read(site, method, status):
    """Refused at once; what still comes is thrown away, and the server goes on."""
    answer = site.client.request(method, "/v1/trades", content=b"x" * BIG)
    assert status == problem(answer)["status"]
    assert 200 == site.get("/v1/trades").status_code


def raw(site, data):
    """Send bytes, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", site.port), WAIT_S) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_head", "status", "says"),
    [
        (
            b"GET /v1/trades?symbol=" + b"x" * BIG + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            414,
            f"{MAX_URL_BYTES} bytes",
        ),
        (
            b"GET / HTTP/1.1\r\nX-Big: " + b"x" * BIG + b"\r\n\r\n",
            431,
            f"longer than {MAX_HEADER_BYTES} bytes",
        ),
        (b"\x16\x03\x01\x02\x00\x01 this is TLS\r\n\r\n", 400, "not an HTTP request"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "not an HTTP request"),
    ],
    ids=["url", "header", "tls", "length"],
)
def test_what_cannot_be_read_is_a_problem_too(site, request_head, status, says):
    """The client can send all of it and then read why; the connection ends."""
    before = site.count("k2_http_requests_total", route="unreadable", status=str(status))
    head, _, body = raw(site, request_head).partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head.splitlines()[0]
    assert b"Content-Type: application/problem+json" in head
    assert says.encode() in body
    assert before + 1 == site.count("k2_http_requests_total", route="unreadable", status=str(status))


def test_a_url_of_a_thousand_symbols_is_answered(site):
    """What the parameters take fits into a URL."""
    asked = "&".join(f"symbol=SYMBOL-{n:05}-WITH-A-LONG-NAME" for n in range(999))
    assert 1 == len(site.get(f"/v1/trades?limit=1&symbol=BHP&{asked}").json()["rows"])


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A server that cuts off clients after half a second."""
    with small_lake(tmp_path_factory.mktemp("slow")) as lake, live(lake, {"idle_s": 0.5}) as running:
        yield running


@pytest.mark.parametrize(
    "beginning", [b"", b"GET /v1/trades HTTP/1.1\r\nHost: localhost\r\n"], ids=["silent", "half"]
)
def test_a_client_that_does_not_ask_is_cut_off(impatient, beginning):
    """Neither silence nor a header now and then holds a connection."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.port), WAIT_S) as client:
        client.settimeout(0.1)
        client.sendall(beginning)
        while time.monotonic() - begun < WAIT_S:
            try:
                if beginning:
                    client.sendall(b"X-More: 1\r\n")
                if client.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert time.monotonic() - begun < WAIT_S


def test_a_client_that_does_not_read_is_cut_off(impatient):
    """Its answer is dropped; others are served meanwhile."""
    pipelined = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400
    with socket.create_connection(("127.0.0.1", impatient.port), WAIT_S) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(ConnectionError):
            send_for(WAIT_S, client, pipelined)
        assert 200 == impatient.get("/health/live").status_code


def send_for(seconds, client, data):
    """Send, again and again, and read nothing."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.sendall(data)
