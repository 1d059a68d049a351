"""What goes wrong is said as a problem document, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import time

import pytest
import structlog
from yarl import URL

from k2app.errors import OperatorError
from k2app.query.reading.pool import QUEUED_PER_THREAD
from k2app.settings import Settings
from tests.query_lake import trade
from web import check_bind

ENDLESS = "SELECT count(*) FROM range(100000000000) AS a(x), range(1000) AS b(y) WHERE x * y % 7 = 3"

PATIENCE_S = 10.0
"""Seconds after which a test gives up."""


def hang(site):
    """Take a thread of the engine until it is stopped."""
    return site.engine._pool.submit(lambda session: session.fetch(ENDLESS, {}))


def slow_queries(site, monkeypatch):
    """Make every query of the engine endless."""
    monkeypatch.setattr(site.engine, "_answer", lambda *given: given[-1].fetch(ENDLESS, {}))


async def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "parameter", "says"),
    [
        ("/v1/trades?symbols=BHP", "symbols", "nearest is symbol"),
        ("/v1/trades?limit=0", "limit", "greater than or equal to 1"),
        ("/v1/trades?limit=1e3", "limit", "valid integer"),
        ("/v1/trades?limit=100001", "limit", "K2_QUERY_MAX_ROWS"),
        ("/v1/trades?limit=1&limit=2", "limit", "more than once"),
        ("/v1/trades?order=up", "order", "'asc' or 'desc'"),
        ("/v1/trades?start=2026-01-05T00:00:00", "start", "no zone"),
        ("/v1/trades?start=2026-01-05T00:00:00+10:00", "start", "%2B"),
        ("/v1/trades?start=2s&end=1s", "end", "before start"),
        ("/v1/trades?symbol=", "symbol", "at least 1 character"),
        ("/v1/trades?cursor=x", "cursor", "start without it"),
        ("/v1/summary/BHP/yesterday", "date", "date"),
        ("/v1/summary/BHP/2026-01-05?date=2026-01-06", "date", "more than once"),
        ("/v1/summary", "start_date", "required"),
        ("/v1/gaps?data_type=bars", "data_type", "'trades' or 'quotes'"),
        ("/v1/stats?symbol=BHP", "symbol", "is not a parameter here"),
    ],
)
async def test_a_wrong_parameter_is_named(site, put, path, parameter, says):
    """400, the parameter, and what it takes."""
    put("trades", [trade(0)])
    async with site.client.get(URL(site.base + path, encoded=True)) as response:
        problem = await response.json(content_type=None)
        assert (400, "application/problem+json") == (response.status, response.content_type)
    assert ("urn:k2:problem:request", 400, parameter) == (
        problem["type"],
        problem["status"],
        problem["parameter"],
    )
    assert says.lower() in problem["detail"].lower()


async def test_only_get_is_served(site):
    """405 with what is allowed; a body is not taken."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, headers, problem = await site.get("/v1/trades", method=method, data=b"x" * 10_000)
        assert (405, "urn:k2:problem:http") == (status, problem["type"])
        assert "GET" in headers["Allow"]
    assert 413 == (await site.get("/v1/trades", data=b"x"))[0]
    assert 200 == (await site.get("/v1/trades", method="HEAD"))[0]


async def test_a_path_that_is_not_there_is_a_problem(site):
    """404 as a problem document."""
    status, headers, problem = await site.get("/v1/nothing")
    assert (404, "application/problem+json", 404) == (
        status,
        headers["Content-Type"].split(";")[0],
        problem["status"],
    )


async def test_a_fault_of_ours_shows_no_traceback(site, monkeypatch):
    """500, the id under which the log has it, and nothing else."""

    def broken(*_):
        raise ZeroDivisionError("a secret path")

    monkeypatch.setattr(site.engine, "_answer", broken)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        status, headers, problem = await site.get("/v1/trades", headers={"X-Request-ID": "abc-1"})
    assert (500, "abc-1") == (status, headers["X-Request-ID"])
    assert "secret" not in str(problem)
    assert ["abc-1"] == [line["request_id"] for line in lines]
    assert 1 == site.count("k2_http_requests_total", route="/v1/trades", status="500")


async def test_request_ids_come_back_or_are_made(site):
    """What could forge a log line is replaced."""
    assert "x.1" == (await site.get("/health/live", headers={"X-Request-ID": "x.1"}))[1]["X-Request-ID"]
    for hostile in ("a b", "x" * 200, '"}{'):
        made = (await site.get("/nowhere", headers={"X-Request-ID": hostile}))[1]["X-Request-ID"]
        assert 32 == len(made)


async def test_a_slow_query_is_a_timeout(serve, monkeypatch):
    """504 after the time limit; the server answers others meanwhile."""
    async with serve(timeout_s=0.3, concurrent=1) as site:
        slow_queries(site, monkeypatch)
        slow = asyncio.create_task(site.get("/v1/trades"))
        assert 200 == (await site.get("/health/live"))[0]
        status, _, problem = await slow
        assert (504, "urn:k2:problem:timeout") == (status, problem["type"])
        assert 1 == site.count("k2_queries_total", resource="trades", outcome="timeout")


async def test_too_many_queries_are_told_to_come_back(serve):
    """429 with Retry-After; health is not a query."""
    async with serve(concurrent=1) as site:
        taken = [hang(site) for _ in range(1 + QUEUED_PER_THREAD)]
        status, headers, problem = await site.get("/v1/trades")
        assert (429, "urn:k2:problem:busy") == (status, problem["type"])
        assert int(headers["Retry-After"]) >= 1
        assert 200 == (await site.get("/health/ready"))[0]
        for running in taken:
            running.cancel()
        await until(lambda: all(running.future.done() for running in taken))
        assert 200 == (await site.get("/v1/trades"))[0]


async def test_a_client_that_goes_away_stops_its_query(serve, monkeypatch):
    """The thread is free for the next one."""
    async with serve(concurrent=1) as site:
        slow_queries(site, monkeypatch)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await site.get("/v1/trades")
        monkeypatch.undo()
        assert 200 == (await site.get("/v1/trades"))[0]
        assert 1 == site.count("k2_queries_total", resource="trades", outcome="cancelled")


async def test_a_lake_without_tables_is_not_available(serve, catalog, settings):
    """503: the client did nothing wrong, and a person has to act."""
    catalog.drop_table((settings.lake.namespace, "trades"))
    async with serve() as site:
        status, _, problem = await site.get("/v1/trades")
        assert (503, "urn:k2:problem:operator") == (status, problem["type"])
        assert "k2 init" in problem["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_this_machine_may_be_bound(host):
    """Nobody else can reach it."""
    check_bind(Settings(web={"host": host}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "k2.example.com"])  # noqa: S104 - refused
def test_a_public_address_is_refused(host):
    """There are no keys that would keep others out."""
    with pytest.raises(OperatorError, match="K2_WEB_HOST"):
        check_bind(Settings(web={"host": host}))
