"""`/v1/replay` over HTTP: forms, pace, resuming, clients that leave."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import time

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k2app.query.replay import script
from tests.query_lake import MONDAY_US, quote, trade
from tests.replay_lake import expected, made_rows, objects, put_in_commits, rows_of

PATIENCE_S = 30.0

MADE = made_rows(11, rows=60)


def visible(row):
    return row["sequence_flag"] != "duplicate"


@pytest.fixture
def rows(put):
    put_in_commits(put, MADE, commits=1)
    return expected(MADE, wanted=visible)


async def read(site, path="/v1/replay", **headers):
    headers = {"Accept-Encoding": "identity"} | headers
    async with asyncio.timeout(PATIENCE_S), site.client.get(site.base + path, headers=headers) as response:
        return response, await response.read()


def events_of(body):
    """Events as dictionaries of their fields."""
    blocks = body.decode().removesuffix("\n\n").split("\n\n")
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


async def test_ndjson_is_the_default(site, rows):
    """Whole, in order, with the snapshots in headers too; the same bytes again."""
    response, body = await read(site)
    first, *_, last = lines = objects(body)
    assert ("application/x-ndjson", "start", "end") == (
        response.content_type,
        first["control"],
        last["control"],
    )
    assert rows == rows_of(lines)
    assert len(rows) == last["rows"]
    assert str(first["snapshots"]["trades"]) in response.headers["K2-Snapshots"]
    assert first["as_of"] == response.headers["K2-As-Of"]
    assert body == (await read(site))[1]


async def test_control_lines_can_be_left_out(site, rows):
    """For tools that expect rows only."""
    _, body = await read(site, "/v1/replay?control=false")
    assert rows == [(line["record"], line["offset"]) for line in objects(body)]


async def test_events_have_ids_that_resume(site, rows):
    """`Last-Event-ID` brings exactly the rest, wherever it broke off; the data is that of NDJSON."""
    response, body = await read(site, Accept="text/event-stream")
    assert "text/event-stream" == response.content_type
    events = events_of(body)
    told = [event for event in events if event["event"] != "control"]
    assert rows == [(f"{e['event']}s", json.loads(e["data"])["offset"]) for e in told]
    _, plain = await read(site, "/v1/replay?control=false")
    assert plain.decode().splitlines() == [event["data"] for event in told]
    assert json.loads(events[-1]["data"])["sha256"] == hashlib.sha256(plain).hexdigest()
    for at in range(0, len(told), 13):
        _, rest = await read(site, "/v1/replay?format=sse", **{"Last-Event-ID": told[at]["id"]})
        assert rows[at + 1 :] == [
            (f"{e['event']}s", json.loads(e["data"])["offset"])
            for e in events_of(rest)
            if e["event"] != "control"
        ]


async def test_pieces_come_as_arrow_csv_and_parquet(site, rows):
    """With the same rows."""
    _, body = await read(site, Accept="application/vnd.apache.arrow.stream")
    with pa.ipc.open_stream(body) as reader:
        table = reader.read_all()
    found = list(zip(table["record"].to_pylist(), table["offset"].to_pylist(), strict=True))
    assert rows == found
    _, body = await read(site, "/v1/replay?format=csv")
    assert rows == [(row["record"], int(row["offset"])) for row in csv.DictReader(io.StringIO(body.decode()))]
    _, body = await read(site, "/v1/replay?format=parquet")
    table = pq.read_table(io.BytesIO(body))
    assert rows == list(zip(table["record"].to_pylist(), table["offset"].to_pylist(), strict=True))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_fast_replays_are_compressed_on_request(site, rows, encoding):
    """Slow ones are not: what compression holds back would come late."""
    _, plain = await read(site)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.get(f"{site.base}/v1/replay", headers={"Accept-Encoding": encoding}) as response,
    ):
        packed = await response.read()
    assert encoding == response.headers["Content-Encoding"]
    assert plain == pa.input_stream(pa.py_buffer(packed), compression=encoding).read()
    assert rows
    slow, _ = await read(site, "/v1/replay?rate=100000", **{"Accept-Encoding": encoding})
    assert "Content-Encoding" not in slow.headers


async def test_slow_replays_take_their_time_and_no_threads(serve, put):
    """More of them than there are threads, each longer than a query may take; other queries are answered meanwhile."""
    put("trades", [trade(n, micros=n * 100_000) for n in range(6)])
    put("quotes", [quote(9, micros=250_000)])
    async with serve(streams=1, concurrent=1, timeout_s=1.0) as site:
        begun = time.monotonic()
        answers = asyncio.gather(*(read(site, "/v1/replay?speed=0.25") for _ in range(4)))
        status, _, _ = await site.get("/v1/trades")
        found = await answers
    assert 200 == status
    assert time.monotonic() - begun >= 2.0
    for _, body in found:
        lines = objects(body)
        assert "end" == lines[-1]["control"]
        assert [*range(3), 9, *range(3, 6)] == [offset for _, offset in rows_of(lines)]


async def test_a_waiting_replay_says_that_it_lives(site, put, monkeypatch):
    """With a token that resumes where it waits; the rest is the same at any speed."""
    monkeypatch.setattr(script, "PROGRESS_S", 0.05)
    put("trades", [trade(0), trade(1, micros=3_600_000_000)])
    url = f"{site.base}/v1/replay?speed=1"
    async with asyncio.timeout(PATIENCE_S), site.client.get(url) as response:
        seen = [json.loads(await response.content.readline())]
        while seen[-1].get("rows") != 1:
            seen.append(json.loads(await response.content.readline()))
    (row,) = (line for line in seen if "control" not in line)
    assert {"start", "progress", None} == {line.get("control") for line in seen}
    assert row["timestamp"] == seen[-1]["timestamp"]
    _, rest = await read(site, f"/v1/replay?cursor={seen[-1]['cursor']}")
    assert [("trades", 1)] == rows_of(objects(rest))


async def test_a_client_that_leaves_stops_the_replay(site, put):
    """It is counted as cancelled, and nothing of it goes on."""
    put("trades", [trade(0), trade(1, micros=3_600_000_000)])
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as client:
        response = await client.get(f"{site.base}/v1/replay?speed=1")
        await response.content.readline()
        response.close()
        while not site.count("k2_queries_total", resource="replay", outcome="cancelled"):  # noqa: ASYNC110 - a metric tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("path", "accept", "parameter"),
    [
        ("/v1/replay?speed=0", None, "speed"),
        ("/v1/replay?speed=2&format=arrow", None, "speed"),
        ("/v1/replay?rate=2", "text/csv", "rate"),
        ("/v1/replay?format=json", None, "format"),
        ("/v1/replay?cursor=x", None, "cursor"),
        ("/v1/replay?symbl=x", None, "symbl"),
        ("/v1/replay", "application/xml", "Accept"),
        (f"/v1/replay?start={MONDAY_US}us&end={MONDAY_US}us", None, "end"),
    ],
)
async def test_what_cannot_be_replayed_is_refused(site, path, accept, parameter):
    """Before the first byte, with the parameter's name."""
    response, body = await read(site, path, **({} if accept is None else {"Accept": accept}))
    assert (400, parameter) == (response.status, json.loads(body)["parameter"])


async def test_a_head_has_no_body(site, rows):
    """Only what a replay would begin with."""
    assert rows
    status, headers, text = await site.get("/v1/replay", method="HEAD")
    assert (200, "") == (status, text)
    assert "K2-Snapshots" in headers
