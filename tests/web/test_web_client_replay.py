"""Replays in the Python client, over connections that hold and that break."""

from __future__ import annotations

import inspect
from datetime import date
from decimal import Decimal

import pytest
import stamina

from k2app.client import Client, IncompleteAnswerError
from k2app.errors import RequestError
from k2app.query.replay.request import ReplayRequest
from k2app.query.requests import parameters
from tests.query_lake import append, at, gap, quote, trade
from tests.web.cutting import CuttingProxy
from tests.web.live import live, small_lake

ROWS = 400
"""Trades, and as many quotes: some three hundred kilobytes of lines."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("replay")) as (settings, catalog):
        shown = [gap("opened", n, n * 10, n * 10, symbol="R", micros=n) for n in (150, 250, 350)]
        append(catalog, settings, "gaps", shown)
        append(
            catalog,
            settings,
            "trades",
            [trade(n, symbol="R", price=f"{n}.25", sequence=n) for n in range(ROWS)],
        )
        append(catalog, settings, "quotes", [quote(n, symbol="R", bid=None) for n in range(ROWS)])
        with live((settings, catalog)) as running:
            yield running


@pytest.fixture(scope="module")
def client(server):
    with Client(server.base) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(client):
    """Every event of the replay, had without a break."""
    return list(client.replay(symbol="R").events())


@pytest.fixture
def proxy(server, monkeypatch):
    """A way to the server, which has a token every hundred rows."""
    monkeypatch.setattr("k2app.query.replay.script.PROGRESS_ROWS", 100)
    with CuttingProxy(server.port) as running, stamina.set_testing(True, attempts=10, cap=True):
        yield running


def test_records_come_as_they_happened(client, whole):
    """Quotes before trades at one time, in the types of the tables; gaps before the trade that showed them."""
    records = list(client.replay(symbol="R"))
    assert [event for event in whole if "record" in event] == records
    assert [(name, at(n)) for n in range(ROWS) for name in ("quotes", "trades")] == [
        (record["record"], record["timestamp"]) for record in records
    ]
    assert [Decimal(f"{n}.25") for n in range(ROWS)] == [r["price"] for r in records if "price" in r]
    assert date(2026, 1, 5) == records[0]["trading_date"]
    assert records[0]["bid_price"] is None
    gaps = [event for event in whole if "control" in event]
    assert [("gap", 1500), ("gap", 2500), ("gap", 3500)] == [
        (one["control"], one["from_sequence"]) for one in gaps
    ]


def test_batches_have_the_same_records(client, whole):
    """In Arrow, with the columns of both tables."""
    answer = client.replay_batches(symbol="R", columns=["record", "offset", "price"])
    rows = [(row["record"], row["offset"], row["price"]) for row in answer]
    assert [(e["record"], e["offset"], e.get("price")) for e in whole if "record" in e] == rows
    assert answer.snapshots == client.replay(symbol="R").snapshots


def test_a_replay_goes_on_at_its_cursor(client, whole):
    """With the rows after it."""
    with client.replay(symbol="R") as replay:
        begin = replay.cursor
        assert whole[:3] == [next(iter(replay.events())) for _ in range(3)]
        assert {"open_gaps"} == {warning.code for warning in replay.warnings}
    assert whole == list(client.replay(symbol="R", cursor=begin).events())


# The first request is for the types; of the others, some are cut before their first token, some after several.
@pytest.mark.parametrize(
    "cuts", [[None, 100], [None, 40_000], [None, 150_000, 60_000], [2_000, None, 250_000]]
)
def test_a_replay_that_breaks_off_is_taken_up_again(proxy, whole, cuts):
    """Every event comes once, from the last token on."""
    proxy.cuts = list(cuts)
    with Client(proxy.url) as client:
        assert whole == list(client.replay(symbol="R").events())
    assert not proxy.cuts
    assert (cuts != [None, 100]) == ("cursor=" in proxy.asked[-1])


def test_batches_that_break_off_are_taken_up_again(proxy, monkeypatch, whole):
    """At the place that the last batch named."""
    monkeypatch.setattr("k2app.query.reading.ordered.PIECE_ROWS", 100)
    proxy.cuts = [30_000]
    with Client(proxy.url) as client:
        offsets = [row["offset"] for row in client.replay_batches(symbol="R")]
    assert [event["offset"] for event in whole if "record" in event] == offsets
    assert not proxy.cuts


def test_a_replay_that_cannot_be_had_whole_raises(proxy):
    """It never just ends."""
    proxy.cuts = [None, 1_000, 1_000]
    with (
        Client(proxy.url, retries=1) as client,
        pytest.raises(IncompleteAnswerError, match="broke off"),
    ):
        list(client.replay(symbol="R"))


def test_a_replay_that_always_breaks_off_at_one_place_is_not_asked_for_without_end(proxy):
    """Events that were there before are no progress."""
    proxy.cuts = [None, *[40_000] * 20]
    with Client(proxy.url) as client:
        events = client.replay(symbol="R").events()
        next(events)
        with stamina.set_testing(True, attempts=3), pytest.raises(IncompleteAnswerError, match="broke off"):
            list(events)
    assert 4 == len(proxy.asked)


def test_a_replay_is_refused_by_parameter(client):
    """In the server's words."""
    with pytest.raises(RequestError, match="speed: 'fast' is not a speed"):
        client.replay(speed="fast")
    with pytest.raises(RequestError, match="columns: "):
        client.replay(columns=["nothing"])


@pytest.mark.parametrize(
    ("method", "without"), [(Client.replay, ()), (Client.replay_batches, ("speed", "rate"))]
)
def test_replays_take_the_parameters_of_http(method, without):
    """Under their names."""
    asked = parameters(ReplayRequest).keys() - {"format", "control", "numbers", *without}
    assert asked == inspect.signature(method).parameters.keys() - {"self"}
