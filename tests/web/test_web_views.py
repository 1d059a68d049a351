"""Resources over HTTP: the engine's answers, and nothing else."""

from __future__ import annotations

import json

import pytest

from k2app.query.answers.result_text import to_json
from k2app.query.requests import RowsRequest
from tests.query_lake import MONDAY_US, company, gap, quote, trade


async def test_trades_are_the_engines_bytes(site, put):
    """HTTP adds nothing and changes nothing."""
    put("trades", [trade(n, price="1.50") for n in range(3)])
    async with site.client.get(f"{site.base}/v1/trades?symbol=BHP&limit=2") as response:
        body = await response.read()
        assert 200 == response.status
        assert "application/json" == response.content_type
    assert to_json(site.engine.trades(RowsRequest(symbol="BHP", limit=2))) == body
    assert "1.5" == json.loads(body)["rows"][0]["price"]


async def test_pages_follow_each_other(site, put):
    """`next` goes back as `cursor`."""
    put("trades", [trade(n, symbol=("BHP", "RIO")[n % 2]) for n in range(5)])
    found, query = [], {"symbol": ["RIO", "BHP"], "limit": "2"}
    while True:
        status, _, body = await site.get("/v1/trades", params=query)
        assert 200 == status
        found += [row["offset"] for row in body["rows"]]
        if body["next"] is None:
            break
        query = {**query, "cursor": body["next"]}
    assert [0, 1, 2, 3, 4] == found


async def test_every_resource_answers(site, put):
    """Each has its rows, snapshots and time."""
    put("reference_data", [company(0, "BHP", "Old name"), company(1, "BHP", "BHP Group")])
    put("gaps", [gap("opened", 0, 1, 2)])
    put("trades", [trade(0, sequence=3), trade(1, symbol="BTC/USD", sequence_flag="duplicate")])
    put("quotes", [quote(0, symbol="CBA")])
    expected = {
        "/v1/trades?symbol=BHP&order=desc": 1,
        "/v1/quotes?start=2026-01-05T00:00:00Z&end=1767571200001ms": 1,
        "/v1/summary/BHP/2026-01-05": 1,
        "/v1/summary/BTC%2FUSD/2026-01-05?exchange=asx": 1,
        "/v1/summary?start_date=2026-01-05": 2,
        "/v1/gaps?open_only=true": 1,
        "/v1/symbols?exchange=asx": 3,
        "/v1/stats": 5,
    }
    for path, rows in expected.items():
        status, _, body = await site.get(path)
        assert (200, rows) == (status, len(body["rows"])), path
        assert body["as_of"].endswith("Z")
        assert body["snapshots"]
    _, _, symbols = await site.get("/v1/symbols")
    assert ["BHP Group", None, None] == [row["name"] for row in symbols["rows"]]
    assert [(1, 0), (0, 0), (0, 1)] == [(row["trades"], row["quotes"]) for row in symbols["rows"]]
    _, _, stats = await site.get("/v1/stats")
    assert {"ok": 1, "duplicate": 1} == stats["rows"][0]["flags"]


async def test_decimals_are_numbers_on_request(site, put):
    """The same digits, without quotes."""
    put("trades", [trade(0, price="9999999999.99999999")])
    async with site.client.get(f"{site.base}/v1/trades?numbers=true") as response:
        assert '"price":9999999999.99999999,' in await response.text()


async def test_health_is_live_always_and_ready_when_it_is(site):
    """Ready names its reasons and says 503."""
    status, _, body = await site.get("/health/live")
    assert (200, "live") == (status, body["status"])
    assert 0 <= body["loop_delay_s"] < 5
    site.parts |= {"trades": None, "catalog": None}
    ready = {"status": "ready", "checks": {"trades": "ok", "catalog": "ok"}, "warnings": {}}
    assert (200, ready) == (await site.get("/health/ready"))[::2]
    site.parts["trades"] = "recovering state"
    status, _, body = await site.get("/health/ready")
    assert 503 == status
    assert ["trades: recovering state"] == body["reasons"]
    assert {"trades": "recovering state", "catalog": "ok"} == body["checks"]
    assert 200 == (await site.get("/health/live"))[0]


async def test_health_shows_no_passwords(site):
    """Whatever a library put into what it says; anybody may ask."""
    told, shown = "http://bob:hunter2@host/cat is away", "http://bob:***@host/cat is away"
    site.parts["catalog"] = told
    status, _, body = await site.get("/health/ready")
    assert (503, {"catalog": shown}, [f"catalog: {shown}"]) == (status, body["checks"], body["reasons"])
    assert f"catalog: {shown}" == body["detail"]


async def test_metrics_count_requests_and_queries(site, put):
    """By route and outcome; no label holds a path or a symbol."""
    put("trades", [trade(0)])
    await site.get("/v1/trades?symbol=BHP")
    await site.get("/v1/trades?limit=0")
    await site.get("/v1/summary/BHP/2026-01-05")
    await site.get("/nowhere/BHP")
    status, headers, text = await site.get("/metrics")
    assert 200 == status
    assert headers["Content-Type"].startswith("text/plain")
    assert 'k2_http_requests_total{route="/v1/summary/{symbol}/{date}",status="200"} 1.0' in text
    assert 'k2_http_requests_total{route="unmatched",status="404"} 1.0' in text
    assert "BHP" not in text
    assert 1 == site.count("k2_queries_total", resource="trades", outcome="answered")
    assert 1 == site.count("k2_queries_total", resource="trades", outcome="refused")
    assert 2 == site.count("k2_query_seconds_count", resource="trades")


@pytest.mark.parametrize("path", ["/", "/router", "/table", "/table/x", "/router/x/y", "/stats", "/graph"])
async def test_fausts_own_pages_are_off(site, path):
    """They show what the app is made of."""
    assert 404 == (await site.get(path))[0]


async def test_a_range_in_local_time_is_understood(site, put):
    """Any zone will do; a plus sign has to be written %2B."""
    put("trades", [trade(0)])
    _, _, body = await site.get(
        "/v1/trades?start=2026-01-05T11:00:00%2B11:00",
    )
    assert 1 == len(body["rows"])
    status, _, problem = await site.get(f"/v1/trades?end={MONDAY_US}")
    assert (400, "end") == (status, problem["parameter"])
    assert "unit" in problem["detail"]
