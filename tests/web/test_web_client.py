"""The Python client against a real server."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
import stamina

from k2app.client import Client, IncompleteAnswerError, Notice, SlowAnswerError
from k2app.errors import GoneError, OperatorError, RequestError, TransientError
from k2app.lake.catalog import load
from k2app.lake.tables import SPECS, Name
from k2app.operate.key_file import key_file
from k2app.operate.keys import Scope, new_key
from tests.query_lake import append, at, trade
from tests.web.cutting import CuttingProxy
from tests.web.live import free_port, live, small_lake

MANY = 140_000
"""Rows of one symbol: three batches on the wire."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A few rows of everything, and many trades of one symbol."""
    with small_lake(tmp_path_factory.mktemp("client")) as (settings, catalog):
        one = pa.Table.from_pylist([trade(0, symbol="MANY")], schema=SPECS[Name.TRADES].arrow_schema)
        numbers = pa.array(range(MANY), pa.int64())
        rows = one.take(pa.array([0] * MANY))
        times = pa.array([int(at(0).timestamp()) * 1_000_000 + n for n in range(MANY)], pa.int64())
        for name, values in (("offset", numbers), ("sequence", numbers), ("timestamp", times)):
            index = rows.column_names.index(name)
            rows = rows.set_column(index, rows.schema.field(name), values.cast(rows.schema.field(name).type))
        load(catalog, settings, Name.TRADES).append(rows)
        yield settings, catalog


@pytest.fixture(scope="module")
def server(lake):
    with live(lake) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with Client(server.base) as opened:
        yield opened


@pytest.fixture
def proxy(server):
    """A way to the server, on which nobody pauses between tries."""
    with CuttingProxy(server.port) as running, stamina.set_testing(True, attempts=10, cap=True):
        yield running


def offsets(answer):
    return answer.arrow()["offset"].to_pylist()


def test_an_answer_is_rows_and_what_is_said_of_them(client):
    """The values, types, snapshots and warnings of the server's own page."""
    with client.trades(symbol=["BHP", "RIO"]) as answer:
        page = json.loads(client.json("trades", symbol=["BHP", "RIO"]))
        rows = list(answer)
    assert [Decimal("1.5")] * 5 == [row["price"] for row in rows]
    assert [at(n) for n in range(5)] == [row["timestamp"] for row in rows]
    assert page["snapshots"] == answer.snapshots
    assert datetime.fromisoformat(page["as_of"]) == answer.as_of
    assert tuple(Notice(**warning) for warning in page["warnings"]) == answer.warnings
    assert {"open_gaps", "unknown_symbol"} == {warning.code for warning in answer.warnings}
    assert answer.next is None
    assert offsets(client.trades(symbol="BHP")) == offsets(client.trades(symbol="BHP", snapshots=answer.pin))


def test_parameters_are_written_exactly(client):
    """Times in any zone, decimals, dates, several names, flags."""
    sydney = timezone(timedelta(hours=11))
    assert [1, 2] == offsets(
        client.trades(symbol="BHP", start=at(1).astimezone(sydney), end=at(3), min_price=Decimal("1.50"))
    )
    assert ["BHP"] == client.range(symbol=["BHP"], data_type="trades").arrow()["symbol"].to_pylist()
    (row,) = client.summary("BHP", date(2026, 1, 5)).rows()
    assert Decimal(5) == row["volume"]
    assert [] == list(client.trades(symbol="BHP", min_price=2))
    assert ["symbol", "price"] == client.trades(columns=["symbol", "price"], limit=1).schema.names


@pytest.mark.parametrize(
    ("asked", "parameter", "says"),
    [
        ({"start": datetime(2026, 1, 5)}, "start", "'2026-01-05T00:00:00' has no zone; takes ISO-8601"),  # noqa: DTZ001
        ({"start": date(2026, 1, 5)}, "start", "'2026-01-05' has no zone; takes ISO-8601"),
        ({"min_price": 1.5}, "min_price", "a float is not exact"),
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"order": "up"}, "order", "'asc' or 'desc'"),
        ({"cursor": "x"}, "cursor", "is not one that K2 gave out"),
        ({"symbols": "BHP"}, "symbols", "is not a parameter here; the nearest is symbol"),
        ({"exchange": "nowhere"}, "exchange", "nowhere"),
    ],
)
def test_what_is_refused_names_its_parameter(client, asked, parameter, says):
    """In the server's words, and without a second try."""
    with pytest.raises(RequestError) as refused:
        client.query("trades", **asked)
    assert parameter == refused.value.parameter
    assert says in refused.value.detail
    assert f"{parameter}: {refused.value.detail}" == str(refused.value)


def test_there_is_no_such_query_or_snapshot(client):
    """A misspelt name has a neighbour; a path parameter must be there."""
    with pytest.raises(RequestError, match="query: there is none called 'trade'; the nearest is trades"):
        client.query("trade")
    with pytest.raises(RequestError, match="date: is missing; summary takes it"):
        client.query("summary", symbol="BHP")
    with pytest.raises(GoneError, match="snapshot_id: 1 is not a snapshot of trades"):
        client.trades(snapshot_id=1)


def test_a_limit_ends_with_a_cursor(client):
    """Which begins the next answer."""
    first = client.trades(symbol="BHP", limit=3)
    assert [0, 1, 2] == offsets(first)
    assert [3, 4] == offsets(client.trades(symbol="BHP", cursor=first.next))


def test_an_answer_is_read_once_or_kept(client):
    """Batches pass by; a table stays."""
    passed = client.trades(symbol="BHP")
    assert 5 == sum(batch.num_rows for batch in passed.batches())
    with pytest.raises(OperatorError, match="read already"):
        passed.arrow()
    with client.trades(symbol="BHP") as closed:
        pass
    with pytest.raises(OperatorError, match="closed before its end"):
        closed.arrow()
    kept = client.trades(symbol="BHP")
    assert kept.arrow() is kept.arrow()
    assert 5 == len(list(kept))


def test_an_answer_that_is_forgotten_gives_its_place_back(client):
    """Eight may be open at once; nobody has to remember to close them."""
    for _ in range(12):
        client.trades(symbol="MANY")
    assert 3 == client.quotes().arrow().num_rows


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_package_that_is_missing_is_named(client, package, monkeypatch):
    """With the way to get it."""
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(OperatorError, match=f"pip install {package}"):
        getattr(client.trades(symbol="BHP"), package)()


def test_long_answers_go_on_in_stretches(proxy):
    """Every row once, whatever the stretch; the next one begins at the cursor of the last."""
    with Client(proxy.url, stretch_rows=50_000) as client:
        assert list(range(MANY)) == offsets(client.trades(symbol="MANY", columns=["offset"]))
    assert 3 == len(proxy.asked)
    assert ["cursor=" in line for line in proxy.asked] == [False, True, True]


@pytest.mark.parametrize("cut", [100, 2_000, 700_000])
@pytest.mark.parametrize("stretch", [None, 100_000])
def test_an_answer_that_breaks_off_is_taken_up_again(proxy, cut, stretch):
    """Before its head, in its columns, or between rows: every row comes once."""
    proxy.cuts = [cut, cut]
    with Client(proxy.url, stretch_rows=stretch) as client:
        answer = client.trades(symbol="MANY", columns=["offset"])
        assert list(range(MANY)) == offsets(answer)
    assert not proxy.cuts
    assert 3 <= len(proxy.asked)


def test_an_answer_is_taken_up_on_its_snapshots(lake, proxy):
    """Rows that were committed meanwhile are not mixed in."""
    settings, catalog = lake
    proxy.cuts = [700_000]
    with Client(proxy.url) as client:
        answer = client.trades(symbol="MANY", columns=["offset"])
        found = iter(answer.batches())
        rows = [next(found)]
        append(catalog, settings, "trades", [trade(MANY, symbol="MANY", micros=-1)])
        rows += found
        assert list(range(MANY)) == [n for batch in rows for n in batch["offset"].to_pylist()]
    assert f"snapshots={answer.pin.replace(':', '%3A').replace(',', '%2C')}" in proxy.asked[-1]


def test_an_answer_that_cannot_be_had_whole_raises(proxy):
    """Never a table with fewer rows."""
    proxy.cuts = [700_000] * 2
    with Client(proxy.url, retries=1) as client, pytest.raises(IncompleteAnswerError, match="broke off"):
        client.trades(symbol="MANY", columns=["offset", "price"]).arrow()


def test_an_answer_that_always_breaks_off_at_one_place_is_not_asked_for_without_end(proxy):
    """Rows that were there before are no progress."""
    proxy.cuts = [2_200_000] * 20
    with Client(proxy.url, retries=2) as client:
        batches = client.trades(symbol="MANY", columns=["offset", "timestamp"]).batches()
        next(batches)
        with stamina.set_testing(True, attempts=3), pytest.raises(IncompleteAnswerError, match="broke off"):
            list(batches)
    assert 3 == len(proxy.asked)


def test_a_changed_byte_is_noticed(proxy, monkeypatch):
    """The hash covers what TCP and HTTP do not."""
    changed = CuttingProxy._pass_on

    def spoilt(self, caller):
        send = caller.sendall

        class Spoiling:
            def __getattr__(self, name):
                return getattr(caller, name)

            def sendall(self, data):
                send(data.replace(b"BHP", b"BHQ"))

        changed(self, Spoiling())

    monkeypatch.setattr(CuttingProxy, "_pass_on", spoilt)
    with (
        Client(proxy.url, retries=0) as client,
        pytest.raises(IncompleteAnswerError, match="has not the bytes"),
    ):
        client.trades(symbol="BHP").arrow()


def test_a_server_that_is_not_there():
    """Says so after its retries; another kind of server is told apart."""
    with (
        Client(f"http://127.0.0.1:{free_port()}", retries=1) as client,
        pytest.raises(TransientError, match="cannot be"),
    ):
        client.stats()
    for url in ("localhost:6066", "ftp://x", "http://", ""):
        with pytest.raises(OperatorError, match="not"):
            Client(url)


def test_compressed_answers_are_the_same(client, server):
    """Fewer bytes, the same rows."""
    with Client(server.base, compress=True) as compressed:
        assert client.quotes().arrow() == compressed.quotes().arrow()


def test_a_key_lets_in(lake):
    """Without it, the error says how to get one; nothing is asked twice."""
    made = new_key("client", [Scope.READ], None, None, datetime.now(UTC))
    key_file(lake[0]).add(made.key)
    with live(lake, {"keys": "required"}) as locked:
        with Client(locked.base, made.text) as client:
            assert 3 == client.quotes().arrow().num_rows
        with Client(locked.base) as client, pytest.raises(OperatorError, match="k2 keys create"):
            client.quotes()


def test_who_asks_too_much_waits(lake):
    """As long as the server says; what cannot be waited for is the caller's."""
    with live(lake, {"keys": "off", "rate": "2/s"}) as slow, Client(slow.base) as client:
        assert [3] * 4 == [client.quotes().arrow().num_rows for _ in range(4)]
    with live(lake, {"keys": "off"}, streams=1) as narrow, Client(narrow.base, retries=0) as client:
        with client.trades(symbol="MANY"), pytest.raises(TransientError, match="streams are open") as busy:
            client.quotes()
        assert busy.value.retry_after_s > 0


def test_what_takes_too_long_is_not_asked_again(lake):
    """It would take as long."""
    with live(lake, {"keys": "off"}, timeout_s=1e-6) as hasty, Client(hasty.base) as client:
        with pytest.raises(SlowAnswerError, match="K2_QUERY_TIMEOUT_S"):
            client.json("trades")
        assert 1 == hasty.count("k2_queries_total", resource="trades", outcome="timeout")
