"""Answers in every form, sent while they are read."""

from __future__ import annotations

import asyncio
import csv
import gc
import gzip
import hashlib
import io
import json
import socket
from dataclasses import replace
from decimal import Decimal

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k2app.errors import TransientError
from k2app.query.answers.formats import MEDIA_TYPES
from k2app.query.queries import TRADES_QUERY
from k2app.query.requests import RowsRequest
from k2app.query.rows import stream_rows
from tests.query_lake import gap, quote, trade
from web.encoding import encoder

PATIENCE_S = 30.0


@pytest.fixture
def rows(put):
    """Trades of two symbols, one of them a duplicate."""
    put("gaps", [gap("opened", 0, 1, 2)])
    made = [
        trade(n, symbol=("BHP", "RIO")[n % 2], price=f"{n}.5", sequence=n, conditions=["1"] * (n % 3))
        for n in range(50)
    ]
    made[7]["sequence_flag"] = "duplicate"
    put("trades", made)
    return [row for row in made if row["sequence_flag"] != "duplicate"]


async def read(site, path, **headers):
    headers = {"Accept-Encoding": "identity"} | headers
    async with site.client.get(site.base + path, headers=headers) as response:
        return response, await response.read()


def lines_of(body):
    return [json.loads(line) for line in body.splitlines()]


async def test_ndjson_has_every_row_between_start_and_end(site, rows):
    """All rows, not a page of them; the end counts them and has their hash."""
    response, body = await read(site, "/v1/trades?format=ndjson")
    start, *found, end = lines_of(body)
    assert MEDIA_TYPES["ndjson"] == response.content_type
    assert [row["offset"] for row in rows] == [row["offset"] for row in found]
    assert (49, None) == (end["rows"], end["next"])
    assert hashlib.sha256(b"".join(body.splitlines(keepends=True)[1:-1])).hexdigest() == end["sha256"]
    assert {"duplicates_hidden", "open_gaps"} == {warning["code"] for warning in start["warnings"]}
    assert site.engine.trades(RowsRequest()).snapshots == start["snapshots"]
    assert (
        f"gaps:{start['snapshots']['gaps']},trades:{start['snapshots']['trades']}"
        == response.headers["K2-Snapshots"]
    )
    assert start["as_of"] == response.headers["K2-As-Of"]


async def test_ndjson_without_control_lines_is_rows_only(site, rows):
    """For tools that expect nothing else."""
    _, body = await read(site, "/v1/trades?format=ndjson&control=false")
    assert [row["offset"] for row in rows] == [row["offset"] for row in lines_of(body)]


async def test_csv_has_a_header_and_every_row(site, rows):
    """And, if asked for, lines that show it to be whole."""
    _, body = await read(site, "/v1/trades?format=csv&columns=symbol&columns=price")
    assert [["symbol", "price"], *([row["symbol"], f"{row['price']:f}"] for row in rows)] == list(
        csv.reader(io.StringIO(body.decode()))
    )
    _, marked = await read(site, "/v1/trades?format=csv&columns=symbol&columns=price&control=true")
    first, *between, last = marked.splitlines(keepends=True)
    assert body == b"".join(between)
    assert "start" == json.loads(first[1:])["control"]
    end = json.loads(last[1:])
    assert (49, hashlib.sha256(b"".join(between[1:])).hexdigest()) == (end["rows"], end["sha256"])


async def test_arrow_keeps_types_and_ends_with_count_and_hash(site, rows):
    """Decimals stay decimals; the last, empty batch proves the rest."""
    response, body = await read(site, "/v1/trades", Accept="application/vnd.apache.arrow.stream")
    assert MEDIA_TYPES["arrow"] == response.content_type
    with pa.ipc.open_stream(body) as reader:
        batches, said = [], None
        while True:
            try:
                batch, said = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            batches.append(batch)
        table = pa.Table.from_batches(batches, reader.schema)
    assert [row["price"] for row in rows] == table["price"].to_pylist()
    assert pa.decimal128(18, 8) == table.schema.field("price").type
    assert 0 == batches[-1].num_rows
    assert b"49" == said[b"k2.rows"]
    assert any(
        hashlib.sha256(body[:end]).hexdigest().encode() == said[b"k2.sha256"]
        for end in range(len(body) - 4_096, len(body))
    )
    assert site.engine.trades(RowsRequest()).snapshots == json.loads(table.schema.metadata[b"k2.snapshots"])


async def test_parquet_is_a_file_that_names_its_snapshots(site, rows):
    """Whole or unreadable: the footer comes last."""
    _, body = await read(site, "/v1/trades?format=parquet&symbol=RIO")
    file = pq.ParquetFile(io.BytesIO(body))
    assert [row["price"] for row in rows if row["symbol"] == "RIO"] == file.read()["price"].to_pylist()
    assert b"24" == file.metadata.metadata[b"k2.rows"]
    assert json.loads(file.metadata.metadata[b"k2.snapshots"])["trades"]


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_answers_are_compressed_on_request(site, rows, form, encoding):
    """The same bytes, fewer of them."""
    assert rows
    _, plain = await read(site, f"/v1/trades?format={form}")
    async with (
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.get(
            f"{site.base}/v1/trades?format={form}", headers={"Accept-Encoding": f"br, {encoding};q=0.5"}
        ) as response,
    ):
        body = await response.read()
    assert encoding == response.headers["Content-Encoding"]
    assert len(body) < len(plain)
    found = (
        gzip.decompress(body)
        if encoding == "gzip"
        else pa.input_stream(pa.py_buffer(body), compression="zstd").read()
    )
    assert plain == found


async def test_a_limit_ends_a_stream_with_a_cursor(site, rows):
    """Which begins the next one."""
    _, body = await read(site, "/v1/trades?format=ndjson&limit=20&order=desc")
    *_, end = lines_of(body)
    assert 20 == end["rows"]
    _, rest = await read(site, f"/v1/trades?format=ndjson&order=desc&cursor={end['next']}")
    found = [row["offset"] for row in lines_of(body + rest) if "control" not in row]
    assert [row["offset"] for row in reversed(rows)] == found


async def test_other_queries_stream_too(site, rows):
    """Page after page, or what there is."""
    assert rows
    for path in ("/v1/symbols", "/v1/gaps", "/v1/stats", "/v1/summary/BHP/2026-01-05"):
        _, body = await read(site, path)
        _, lines = await read(site, f"{path}?format=ndjson&control=false")
        assert json.loads(body)["rows"] == lines_of(lines), path


async def test_filters_leave_other_rows_out(site, rows, put):
    """By condition, price and quantity; a missing side of a quote is within any bound."""
    _, body = await read(
        site, "/v1/trades?conditions=1&min_price=10&max_price=20.5&format=ndjson&control=false"
    )
    expected = [
        row["offset"] for row in rows if row["conditions"] and Decimal(10) <= row["price"] <= Decimal("20.5")
    ]
    assert expected == [row["offset"] for row in lines_of(body)]
    put("quotes", [quote(0, bid="1", ask=None), quote(1, bid="1", ask="9"), quote(2, bid=None, ask="2")])
    _, body = await read(site, "/v1/quotes?min_price=1&max_price=3&format=ndjson&control=false")
    assert [0, 2] == [row["offset"] for row in lines_of(body)]


@pytest.mark.parametrize(
    ("path", "accept", "parameter"),
    [
        ("/v1/trades?columns=pric", None, "columns"),
        ("/v1/trades?columns=price&columns=price&format=csv", None, "columns"),
        ("/v1/trades?min_price=1e3", None, "min_price"),
        ("/v1/trades?min_price=1.123456789", None, "min_price"),
        ("/v1/trades?format=xml", None, "format"),
        ("/v1/trades", "application/xml", "Accept"),
    ],
)
async def test_what_cannot_be_answered_so_is_refused(site, rows, path, accept, parameter):
    """Before the first byte, with the parameter's name."""
    assert rows
    response, body = await read(site, path, **({} if accept is None else {"Accept": accept}))
    assert (400, parameter) == (response.status, json.loads(body)["parameter"])


async def stopped(site, name, outcome):
    """Wait until a query ended so."""
    async with asyncio.timeout(PATIENCE_S):
        while not site.count("k2_queries_total", resource=name, outcome=outcome):  # noqa: ASYNC110 - a metric tells nobody
            await asyncio.sleep(0.02)


async def received(site, path):
    """Everything that comes over the wire, until the server closes."""
    host, port = site.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        got = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return got


@pytest.fixture
def many(put):
    """More rows than all buffers between server and client hold."""
    for part in range(4):
        put("trades", [trade(n, symbol="x" * 200) for n in range(part * 10_000, (part + 1) * 10_000)])


@pytest.mark.usefixtures("many")
async def test_a_client_that_leaves_stops_the_query(site):
    """Its thread is free again."""
    # As it is: compressed, all of it would fit the buffers, and the query might end before the client leaves.
    as_it_is = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(headers=as_it_is) as client:
        response = await client.get(f"{site.base}/v1/trades?format=ndjson")
        await response.content.read(1_000)
        response.close()
        await stopped(site, "trades", "cancelled")


@pytest.mark.usefixtures("many")
async def test_a_client_that_takes_nothing_is_cut_off(serve):
    """Within its time; what it has is recognisably not whole."""
    async with serve(web={"idle_s": 0.3}) as site:
        host, port = site.base.removeprefix("http://").split(":")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (host, int(port)))
            await loop.sock_sendall(
                client, b"GET /v1/trades?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            await stopped(site, "trades", "slow_client")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("form", ["ndjson", "csv", "arrow", "parquet"])
async def test_a_stream_that_fails_midway_is_not_taken_for_whole(serve, monkeypatch, form):
    """The connection breaks before the end; NDJSON's last line says why."""

    def failing(reader, request):
        stream = stream_rows(reader, "trades", request)
        whole = list(stream.batches)

        def batches():
            for batch in whole:
                yield from (batch.slice(n, 8_192) for n in range(0, batch.num_rows, 8_192))
            raise TransientError("a data file is gone")

        stream.batches = batches()
        return stream

    broken = replace(TRADES_QUERY, name="broken", path="/v1/broken", stream=failing)
    monkeypatch.setattr("web.queries.QUERIES", (broken,))
    async with serve() as site:
        with pytest.raises(aiohttp.ClientPayloadError):
            await read(site, f"/v1/broken?format={form}")
        got = await received(site, f"/v1/broken?format={form}")
        await stopped(site, "broken", "failed")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not got.endswith(b"0\r\n\r\n")
    if form == "ndjson":
        assert b'\n{"control":"error","detail":"a data file is gone"}\n\r\n' in got[-200:]
    if form == "arrow":
        assert b"k2.rows" not in got[-2_000:]
    if form == "parquet":
        # The magic of a head, and no footer that begins and ends with it.
        assert 1 == got.count(b"PAR1")


def broken(kind, text):
    """A query whose rows end in an error."""

    def failing(reader, request):
        stream = stream_rows(reader, "trades", request)
        whole = list(stream.batches)

        def batches():
            yield from whole
            raise kind(text)

        stream.batches = batches()
        return stream

    return replace(TRADES_QUERY, name="broken", path="/v1/broken", stream=failing)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("form", ["ndjson", "arrow"])
async def test_a_fault_of_ours_midway_cuts_the_stream_too(serve, monkeypatch, form):
    """No second answer stands among the rows, and nobody is told what only the log should know."""
    monkeypatch.setattr("web.queries.QUERIES", (broken(ZeroDivisionError, "inner workings"),))
    async with serve() as site:
        got = await received(site, f"/v1/broken?format={form}")
        await stopped(site, "broken", "failed")
    assert 1 == got.count(b"HTTP/1.1 ")
    assert not got.endswith(b"0\r\n\r\n")
    assert b"inner workings" not in got
    if form == "ndjson":
        assert b'"detail":"something went wrong; the log has it"}\n\r\n' in got[-200:]


@pytest.mark.parametrize("name", ["zstd", "gzip"])
def test_compression_that_is_dropped_has_no_end(name):
    """Also not when nobody holds it any more: a cut stream must not look whole."""
    pieces = []
    made = encoder(name, pieces.append)
    made.write(b"k2" * 500_000)
    made.drop()
    written = len(pieces)
    del made
    gc.collect()
    assert written == len(pieces)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("form", ["ndjson", "csv", "arrow", "parquet"])
async def test_head_of_a_stream_is_its_head_only(site, form):
    """A byte more would be taken for the next answer on the connection."""
    host, port = site.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(PATIENCE_S):
        writer.write(f"HEAD /v1/trades?format={form} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        rest = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"K2-Snapshots: " in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(rest.partition(b"\r\n\r\n")[2])["status"] == "live"
