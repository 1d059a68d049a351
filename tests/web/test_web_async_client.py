"""The Python client for asyncio against a real server: what the blocking one says, without blocking."""

from __future__ import annotations

import asyncio
import inspect
import socket
import time

import pytest
import stamina

from k2app.client import AsyncClient, Client
from k2app.errors import OperatorError, RequestError, TransientError
from tests.query_lake import append, gap, quote, trade
from tests.web.cutting import CuttingProxy
from tests.web.live import free_port, live, small_lake

ROWS = 3_000
"""Trades, and as many quotes: more than one step brings."""

WITHIN_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("async")) as (settings, catalog):
        append(catalog, settings, "gaps", [gap("opened", n, n, n, symbol="A", micros=n) for n in (10, 2_500)])
        append(catalog, settings, "trades", [trade(n, symbol="A", sequence=n) for n in range(10, ROWS + 10)])
        append(catalog, settings, "quotes", [quote(n, symbol="A", bid=None) for n in range(10, ROWS + 10)])
        with live((settings, catalog)) as running:
            yield running


@pytest.fixture(scope="module")
def blocking(server):
    with Client(server.base) as opened:
        yield opened


@pytest.fixture
async def client(server):
    async with AsyncClient(server.base) as opened:
        yield opened


async def test_an_answer_is_the_blocking_ones(client, blocking):
    """Tables, batches and rows, and what is said of them."""
    expected = blocking.trades(symbol="A")
    table = expected.arrow()
    answer = client.trades(symbol="A")
    assert table == await answer.arrow()
    assert (expected.snapshots, expected.warnings, expected.as_of) == (
        answer.snapshots,
        answer.warnings,
        answer.as_of,
    )
    assert (expected.pin, expected.schema, None) == (answer.pin, answer.schema, answer.next)
    assert table.to_batches() == [batch async for batch in client.trades(symbol="A").batches()]
    assert list(blocking.trades(symbol="A")) == [row async for row in client.trades(symbol="A")]
    assert table == await client.query("trades", symbol="A").arrow()


async def test_a_replay_is_the_blocking_ones(client, blocking):
    """Records and gaps; paced ones too."""
    events = list(blocking.replay(symbol="A").events())
    assert events == [event async for event in client.replay(symbol="A").events()]
    records = [record async for record in client.replay(symbol="A", speed=1_000_000)]
    assert [event for event in events if "record" in event] == records
    batches = [batch async for batch in client.replay_batches(symbol="A").batches()]
    assert len(records) == sum(batch.num_rows for batch in batches)


async def test_a_replay_that_is_left_goes_on_after_what_was_taken(client, monkeypatch):
    """Not after what was read ahead."""
    monkeypatch.setattr("k2app.query.replay.script.PROGRESS_ROWS", 100)
    whole = [record async for record in client.replay(symbol="A")]
    for count in (1, 150, 1_300):
        taken = []
        async with client.replay(symbol="A") as replay:
            async for record in replay:
                taken.append(record)
                if len(taken) == count:
                    break
            place = replay.cursor
        rest = [record async for record in client.replay(symbol="A", cursor=place)]
        assert whole[len(whole) - len(rest) :] == rest
        assert len(taken) + len(rest) >= len(whole)
        assert whole[:count] == taken


async def test_errors_come_with_the_first_await(client):
    """In the server's words; a call by itself asks nothing."""
    refused = client.trades(limit=0)
    with pytest.raises(OperatorError, match="nothing was asked yet"):
        _ = refused.snapshots
    with pytest.raises(RequestError, match="limit"):
        await refused.arrow()
    with pytest.raises(RequestError, match="speed"):
        await anext(aiter(client.replay(speed="fast")))
    async with AsyncClient(f"http://127.0.0.1:{free_port()}", retries=0) as nowhere:
        with pytest.raises(TransientError, match="cannot be reached"):
            await nowhere.stats().arrow()


async def test_a_closed_answer_is_not_read_on(client):
    """It says so."""
    async with client.trades(symbol="A") as answer:
        assert answer.snapshots
    with pytest.raises(OperatorError, match="was closed"):
        await answer.arrow()


async def test_the_loop_goes_on_while_the_server_is_silent(server):
    """And a task that is cancelled ends at once; others are answered meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with AsyncClient(url, retries=0) as mute, AsyncClient(server.base) as client:
            waiting = asyncio.create_task(mute.stats().arrow())
            answers = await asyncio.gather(*(client.trades(symbol="A", limit=5).arrow() for _ in range(20)))
            assert {5} == {answer.num_rows for answer in answers}
            assert not waiting.done()
            waiting.cancel()
            begun = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert time.monotonic() - begun < WITHIN_S


async def test_an_answer_that_breaks_off_is_taken_up_again(server, blocking):
    """As by the blocking client, which does it."""
    whole = list(blocking.replay(symbol="A"))
    with CuttingProxy(server.port) as proxy, stamina.set_testing(True, attempts=10, cap=True):
        proxy.cuts = [None, 100_000, 500_000]
        async with AsyncClient(proxy.url) as client:
            assert whole == [record async for record in client.replay(symbol="A")]
        assert not proxy.cuts


def test_both_clients_have_the_same_calls():
    """With the same parameters; only what takes lines or documents is left to the blocking one."""

    def calls(kind):
        return {
            name: str(inspect.signature(member).replace(return_annotation=None))
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name not in {"json", "replay_text", "close"}
        }

    assert calls(Client) == calls(AsyncClient)
