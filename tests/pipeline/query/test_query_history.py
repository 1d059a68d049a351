"""The lake's own history: snapshots one by one, and what came between two of them."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from k2app.errors import GoneError, RequestError
from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.answers.result_text import to_json
from k2app.query.engine import QueryEngine
from k2app.query.history.requests import DiffRequest, SnapshotRequest, SnapshotsRequest
from k2app.query.lake_queries import DIFF_QUERY, SNAPSHOT_QUERY, SNAPSHOTS_QUERY
from k2app.query.requests import make, parse
from k2app.query.times import EPOCH, MICROSECOND
from k2app.settings import Settings
from tests.lake_flushes import commit, flush, span, writer
from tests.lake_rows import LOG, TOPIC
from tests.query_lake import trade

TABLES = ("trades", "gaps", "dead_letters")
KEYS = ("log_id", "topic", "partition", "offset")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A lake of six flushes over two partitions, compacted after the third: catalog, settings and engine."""
    settings = Settings(home=tmp_path_factory.mktemp("lake") / "home")
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    for n in range(6):
        ranges = [span(10 * n, 10 * n + 10), span(5 * (n // 2), 5 * (n // 2) + 5, partition=1)][: 1 + n % 2]
        commit(writer(catalog, settings), flush(*ranges, dead=[10 * n], events=[(10 * n + 1, 0)], seed=n))
        if n == 2:
            table = load(catalog, settings, Name.TRADES)
            table.overwrite(table.scan().to_arrow())
    engine = QueryEngine(settings, catalog, exchanges.load())
    yield catalog, settings, engine
    engine.close()
    catalog.close()


def main_ids(history, name="trades"):
    catalog, settings, _ = history
    table = load(catalog, settings, Name(name))
    return [one.snapshot_id for one in table.metadata.snapshots]


def ask(history, query, **values):
    return history[2].answer(query, make(query.request, **values))


def test_snapshots_are_listed_newest_first_in_pages(history):
    """Every snapshot of every table once, whichever way and in whatever pages."""
    every = {name: main_ids(history, name) for name in TABLES}
    whole = ask(history, SNAPSHOTS_QUERY).rows.to_pylist()
    assert sorted((name, number) for name, ids in every.items() for number in ids) == sorted(
        (row["table"], row["snapshot_id"]) for row in whole
    )
    assert [row["committed_at"] for row in whole] == sorted((r["committed_at"] for r in whole), reverse=True)
    for order in ("asc", "desc"):
        walked, cursor = [], None
        while cursor is not None or not walked:
            page = ask(history, SNAPSHOTS_QUERY, order=order, limit=4, cursor=cursor)
            walked, cursor = walked + page.rows.to_pylist(), page.next
        assert (whole if order == "desc" else whole[::-1]) == walked
    trades = ask(history, SNAPSHOTS_QUERY, table="trades", order="asc").rows.to_pylist()
    assert every["trades"] == [row["snapshot_id"] for row in trades]
    assert [None, *every["trades"][:-1]] == [row["parent_id"] for row in trades]
    third = trades[2]["committed_at"]
    bounds = {
        "start": (third - EPOCH) // MICROSECOND,
        "end": (trades[-1]["committed_at"] - EPOCH) // MICROSECOND,
    }
    found = ask(history, SNAPSHOTS_QUERY, table="trades", order="asc", **bounds).rows.to_pylist()
    assert [r for r in trades if third <= r["committed_at"] < trades[-1]["committed_at"]] == found


def test_a_snapshot_says_how_many_rows_it_has_and_whence(history):
    """Against a scan of the table at each snapshot; a compaction adds nothing."""
    catalog, settings, _ = history
    table, before = load(catalog, settings, Name.TRADES), 0
    for row in ask(history, SNAPSHOTS_QUERY, table="trades", order="asc").rows.to_pylist():
        there = table.scan(snapshot_id=row["snapshot_id"]).to_arrow()
        assert there.num_rows == row["total_rows"]
        assert there.num_rows - before == row["rows_added"]
        before = there.num_rows
        assert ([TOPIC] if row["commit_id"] else []) == row["topics"]


def test_one_snapshot_shows_ranges_floor_and_flags(history):
    """As the commit wrote them; an unknown id is gone, or never was."""
    ids = main_ids(history)
    (row,) = ask(history, SNAPSHOT_QUERY, id=ids[1]).rows.to_pylist()
    place = {"log_id": LOG, "topic": TOPIC}
    assert [
        {**place, "partition": 0, "start": 10, "end": 20, "skipped": 0, "hole_start": None},
        {**place, "partition": 1, "start": 0, "end": 5, "skipped": 0, "hole_start": None},
    ] == row["ranges"]
    assert [(0, 20), (1, 5)] == [(one["partition"], one["next_offset"]) for one in row["floor"]]
    assert 9 == sum(count for _, count in row["flags"]) == row["rows_added"]
    assert (15, "append") == (row["offsets"], row["operation"])
    with pytest.raises(GoneError, match=r"^id: 5 is not a snapshot of the lake, or has expired"):
        ask(history, SNAPSHOT_QUERY, id=5)
    early = (ask(history, SNAPSHOT_QUERY, id=ids[0]).rows["committed_at"][0].as_py() - EPOCH) // MICROSECOND
    with pytest.raises(GoneError):
        ask(history, SNAPSHOT_QUERY, id=ids[-1], as_of=early)


def rows_at(history, name, moment_ms):
    """Rows of a table as they were at a moment, by coordinates: the slow, obvious way."""
    catalog, settings, _ = history
    table = load(catalog, settings, Name(name))
    there = [one for one in table.metadata.snapshots if one.timestamp_ms <= moment_ms]
    if not there:
        return {}
    rows = table.scan(snapshot_id=there[-1].snapshot_id).to_arrow().to_pylist()
    return {tuple(row[key] for key in KEYS): row for row in rows}


def expected(before, after, name):
    groups = defaultdict(list)
    for place, row in after.items():
        if place not in before:
            groups[row.get("exchange"), row.get("symbol"), *place[:3]].append(row)
    return {
        (name, *key): (min(r["offset"] for r in rows), max(r["offset"] for r in rows) + 1, len(rows))
        for key, rows in groups.items()
    }


@budget(max_examples=12, deadline=None)
@given(st.data())
def test_a_diff_has_exactly_the_rows_in_which_two_snapshots_differ(history, data):
    """Over compactions and flushes, for any two snapshots of trades; against scans of both."""
    catalog, settings, _ = history
    snapshots = load(catalog, settings, Name.TRADES).metadata.snapshots
    first = data.draw(st.integers(0, len(snapshots) - 1))
    second = data.draw(st.integers(first, len(snapshots) - 1))
    ends = snapshots[first], snapshots[second]
    answer = ask(history, DIFF_QUERY, from_=str(ends[0].snapshot_id), to=str(ends[1].snapshot_id))
    model, removed = {}, 0
    for name in TABLES:
        before, after = (rows_at(history, name, one.timestamp_ms) for one in ends)
        model |= expected(before, after, name)
        removed += len(before.keys() - after.keys())
    found = {
        tuple(row[k] for k in ("table", "exchange", "symbol", "log_id", "topic", "partition")): (
            row["start"],
            row["end"],
            row["rows"],
        )
        for row in answer.rows.to_pylist()
    }
    assert model == found
    # Between the two snapshots of pyiceberg's overwrite all rows are away.
    assert [removed] * (removed > 0) == [notice.count for notice in answer.warnings]


def test_the_ends_of_a_diff_are_ids_times_or_tags(history):
    """All three mean the same; `from` on its own goes to the newest; filters leave out the rest."""
    catalog, settings, engine = history
    table = load(catalog, settings, Name.TRADES)
    first = table.metadata.snapshots[0]
    by_id = to_json(ask(history, DIFF_QUERY, from_=str(first.snapshot_id)))
    given = parse(DiffRequest, [("from", f"{first.timestamp_ms}ms")])
    assert by_id == to_json(engine.answer(DIFF_QUERY, given))
    whole = ask(history, DIFF_QUERY, from_="2020-01-01T00:00:00Z")
    total = {"trades": 54, "gaps": 6, "dead_letters": 6}
    assert total == {n: sum(r["rows"] for r in whole.rows.to_pylist() if r["table"] == n) for n in total}
    symbol = whole.rows["symbol"][0].as_py()
    some = ask(history, DIFF_QUERY, from_="2020-01-01T00:00:00Z", table="trades", symbol=(symbol,))
    assert [r for r in whole.rows.to_pylist() if (r["table"], r["symbol"]) == ("trades", symbol)] == (
        some.rows.to_pylist()
    )
    none = ask(history, DIFF_QUERY, from_="2020-01-01T00:00:00Z", table="dead_letters", symbol=(symbol,))
    assert 0 == none.rows.num_rows


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ([("from", "2100-01-01T00:00:00Z"), ("to", "2020-01-01T00:00:00Z")], "to"),
        ([("from", "5")], "from"),
        ([("from", "no-such-tag")], "from"),
        ([("from", "2020-13-01T00:00:00Z")], "from"),
        ([("from", "2020-01-01T00:00:00Z"), ("as_of", "1s")], "as_of"),
        ([("to", "5")], "from"),
        ([("from_", "5")], "from_"),
    ],
)
def test_a_diff_that_makes_no_sense_is_refused(history, given, parameter):
    """Names the parameter as the client wrote it."""
    with pytest.raises(RequestError) as refused:
        history[2].answer(DIFF_QUERY, parse(DiffRequest, given))
    assert parameter == refused.value.parameter


def test_an_expired_end_is_gone(put, engine, catalog, settings):
    """Nothing tells any more what came after; a tagged snapshot stays, and is listed though its line is cut."""
    ids = [put("trades", [trade(n)]) for n in range(4)]
    table = load(catalog, settings, Name.TRADES)
    table.manage_snapshots().create_tag(ids[1], "keep").commit()
    table.refresh().maintenance.expire_snapshots().by_ids([ids[0], ids[2]]).commit()
    answer = engine.answer(SNAPSHOTS_QUERY, SnapshotsRequest(table="trades", order="asc"))
    assert [(ids[1], ["keep"]), (ids[3], [])] == [
        (r["snapshot_id"], r["tags"]) for r in answer.rows.to_pylist()
    ]
    assert 1 == engine.answer(SNAPSHOT_QUERY, SnapshotRequest(id=ids[1])).rows.num_rows
    kept = engine.answer(DIFF_QUERY, make(DiffRequest, from_=str(ids[1])))
    assert [(2, 4, 2)] == [(r["start"], r["end"], r["rows"]) for r in kept.rows.to_pylist()]
    with pytest.raises(GoneError, match=r"^from: "):
        engine.answer(DIFF_QUERY, make(DiffRequest, from_=str(ids[0])))
    past = table.refresh().snapshot_by_id(ids[3]).timestamp_ms - 1
    with pytest.raises(GoneError, match=r"^from: the snapshots of that time have expired"):
        engine.answer(DIFF_QUERY, make(DiffRequest, from_=f"{past}ms"))
