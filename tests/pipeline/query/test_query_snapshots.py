"""Which snapshot answers: the newest, one by id, one by time."""

from __future__ import annotations

import pytest

from k2app.errors import OperatorError, RequestError
from k2app.lake.catalog import open_catalog
from k2app.market import exchanges
from k2app.query.answers.result_text import to_json
from k2app.query.engine import QueryEngine
from k2app.query.requests import RowsRequest, StatsRequest, SymbolsRequest, make, parse
from k2app.settings import Settings
from tests.query_lake import at, gap, trade


def offsets(result):
    return result.rows["offset"].to_pylist()


def commit_us(catalog, settings, name, snapshot_id):
    table = catalog.load_table((settings.lake.namespace, name))
    return table.snapshot_by_id(snapshot_id).timestamp_ms * 1000


def test_a_snapshot_id_pins_the_answer(put, engine):
    """The same id gives the same bytes, whatever was appended since."""
    first = put("trades", [trade(0)])
    before = to_json(engine.trades(RowsRequest()))
    put("trades", [trade(1)])
    assert [0, 1] == offsets(engine.trades(RowsRequest()))
    assert [0] == offsets(engine.trades(RowsRequest(snapshot_id=first)))
    assert before == to_json(engine.trades(RowsRequest(snapshot_id=first)))


def test_as_of_takes_the_newest_set_committed_by_then(put, engine, catalog, settings):
    """The millisecond of a commit belongs to it; the one before does not."""
    ids = [put("trades", [trade(n)]) for n in range(3)]
    times = [commit_us(catalog, settings, "trades", snapshot) for snapshot in ids]
    for n, time in enumerate(times):
        result = engine.trades(RowsRequest(as_of=time))
        assert list(range(n + 1)) == offsets(result)
        assert ids[n] == result.snapshots["trades"]
        assert time == result.as_of_us
        assert list(range(n)) == offsets(engine.trades(RowsRequest(as_of=time - 1)))
    text = parse(RowsRequest, [("as_of", f"{times[1]}us")])
    assert [0, 1] == offsets(engine.trades(text))


def test_before_the_first_commit_there_is_nothing_and_that_is_said(put, engine, catalog, settings):
    """Not an error: nothing was known then."""
    snapshot = put("trades", [trade(0)])
    result = engine.trades(RowsRequest(as_of=commit_us(catalog, settings, "trades", snapshot) - 1_000))
    assert [] == offsets(result)
    assert {"gaps": None, "trades": None} == result.snapshots
    assert result.as_of_us is None
    assert ["nothing_committed"] == [notice.code for notice in result.warnings]


def test_gaps_are_taken_as_they_were_at_the_snapshot(put, engine):
    """A gap committed before the rows is part of their set, one committed after is not."""
    early = put("gaps", [gap("opened", 0, 1, 2)])
    pinned = put("trades", [trade(0)])
    put("gaps", [gap("opened", 1, 5, 6)])
    result = engine.trades(RowsRequest(snapshot_id=pinned))
    assert {"gaps": early, "trades": pinned} == result.snapshots
    assert [1] == [notice.count for notice in result.warnings]


def test_after_expiry_rows_are_left_out_by_their_commit_time(put, engine, catalog, settings):
    """As known at T still works when the snapshot of T is gone."""
    first = put("trades", [trade(0, committed_at=at(0)), trade(1, committed_at=at(10_000_000))])
    put("trades", [trade(2, committed_at=at(20_000_000))])
    put("trades", [trade(3, committed_at=at(30_000_000))])
    table = catalog.load_table((settings.lake.namespace, "trades"))
    table.maintenance.expire_snapshots().by_id(first).commit()
    time = int(at(20_000_000).timestamp()) * 1_000_000
    result = engine.trades(RowsRequest(as_of=time))
    assert [0, 1, 2] == offsets(result)
    assert time == result.as_of_us


def test_an_unknown_snapshot_is_the_clients_fault(put, engine):
    """Names the parameter."""
    put("trades", [trade(0)])
    with pytest.raises(RequestError, match=r"^snapshot_id: 5 is not a snapshot of trades"):
        engine.trades(RowsRequest(snapshot_id=5))


def test_two_pins_are_refused():
    """A snapshot id and a time may contradict each other."""
    with pytest.raises(RequestError, match=r"^as_of: "):
        make(RowsRequest, snapshot_id=1, as_of=1)


def test_symbols_and_stats_answer_as_of_a_time_too(put, engine, catalog, settings):
    """All tables of the set are of that time."""
    first = put("trades", [trade(0)])
    time = commit_us(catalog, settings, "trades", first)
    put("trades", [trade(1, symbol="RIO")])
    assert ["BHP"] == engine.symbols(SymbolsRequest(as_of=time)).rows["symbol"].to_pylist()
    assert ["BHP", "RIO"] == engine.symbols(SymbolsRequest()).rows["symbol"].to_pylist()
    assert 1 == engine.stats(StatsRequest(snapshot_id=first)).rows["rows"][0].as_py()


def test_a_lake_without_tables_is_explained(tmp_path):
    """The message says how tables come to be."""
    settings = Settings(home=tmp_path)
    catalog = open_catalog(settings)
    engine = QueryEngine(settings, catalog, exchanges.load())
    with pytest.raises(OperatorError, match=r"table market_data\.trades does not exist: run `k2 init`"):
        engine.trades(RowsRequest())
    engine.close()
    catalog.close()
