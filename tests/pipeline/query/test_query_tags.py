"""Tags: one name over all tables; what it answers never changes, and half a tag answers nothing."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from functools import partial

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from k2app.cli import k2
from k2app.errors import GoneError, OperatorError, RequestError
from k2app.lake.catalog import load
from k2app.lake.tables import SPECS, Name
from k2app.lake.tags import Tags
from k2app.query.answers.result_text import to_json
from k2app.query.engine import QueryEngine
from k2app.query.history.tagging import tag_set
from k2app.query.reading.snapshots import Snapshots
from k2app.query.requests import (
    GapsRequest,
    Request,
    RowsRequest,
    StatsRequest,
    SummariesRequest,
    SymbolsRequest,
    make,
)
from tests.lake_flushes import commit as commit_flush
from tests.lake_flushes import flush, offsets, span, writer
from tests.processes import ended
from tests.query_lake import MONDAY, company, gap, quote, trade

NOW_US = 1_767_600_000_000_000


class DeathError(BaseException):
    """The process ends here."""


class Dying(SqlCatalog):
    """The catalog of another one's properties; its process dies after so many commits."""

    def __init__(self, catalog, after):
        super().__init__(catalog.name, **catalog.properties)
        self.after, self.commits = after, 0

    def commit_table(self, table, requirements, updates):
        self.commits += 1
        if self.commits > self.after:
            raise DeathError
        return super().commit_table(table, requirements, updates)


@pytest.fixture
def tag(catalog, settings):
    """Make a tag of what is there, or of what parameters say; with another catalog, if it is given."""

    def create(name, through=catalog, **pin):
        request = make(Request, **pin)
        meant = partial(tag_set, Snapshots(through, settings), request)
        return Tags(through, settings).create(name, meant, NOW_US, explicit=request.pin is not None)

    return create


@pytest.fixture
def lake(put):
    """Rows in every table but dead letters and loads."""
    put("gaps", [gap("opened", 0, 1, 2)])
    put("reference_data", [company(0, "BHP", "Old name")])
    put("quotes", [quote(0), quote(1)])
    put("trades", [trade(n, price=str(n + 1)) for n in range(4)])


def expire_all(catalog, settings):
    """Expire every snapshot that nothing protects."""
    for name in SPECS:
        table = load(catalog, settings, name)
        if table.snapshots():
            table.maintenance.expire_snapshots().older_than(datetime(2100, 1, 1, tzinfo=UTC)).commit()


def answers(engine, **pin):
    """What every kind of query says, as bytes."""
    return [
        to_json(engine.trades(RowsRequest(**pin))),
        to_json(engine.quotes(RowsRequest(**pin))),
        to_json(engine.summaries(SummariesRequest(start_date=MONDAY, **pin))),
        to_json(engine.gaps(GapsRequest(**pin))),
        to_json(engine.symbols(SymbolsRequest(**pin))),
        to_json(engine.stats(StatsRequest(**pin))),
    ]


@pytest.mark.usefixtures("lake")
def test_answers_at_a_tag_never_change(put, engine, tag, catalog, settings, record):
    """Rows, gaps, names and retractions come, snapshots expire: the same bytes, and only at the tag."""
    record("load-a", "sent")
    tag("paper")
    before = answers(engine, tag="paper")
    put("trades", [trade(9, symbol="RIO", load_id="load-a")])
    put("gaps", [gap("filled", 1, 1, 2)])
    put("reference_data", [company(1, "BHP", "New name")])
    record("load-a")
    assert before == answers(engine, tag="paper")
    expire_all(catalog, settings)
    assert before == answers(engine, tag="paper")
    assert all(old != new for old, new in zip(before, answers(engine), strict=True) if b"quote" not in old)


@pytest.mark.usefixtures("lake")
def test_a_tag_that_died_anywhere_answers_nothing_until_it_is_finished(put, engine, tag, catalog, settings):
    """Before each commit of `create` and `drop`, and after the last; its set is the one it was begun with."""
    tags, counting = Tags(catalog, settings), Dying(catalog, 99)
    meant = tag("whole", counting).tag.snapshots
    put("trades", [trade(7)])
    for step in range(counting.commits):
        with pytest.raises(DeathError):
            tag("half", Dying(catalog, step), snapshots=text(meant))
        problem = "half made" if step else "there is no tag 'half'; the nearest is 'whole'"
        with pytest.raises(RequestError, match=f"^tag: .*{problem}"):
            engine.trades(RowsRequest(tag="half"))
        finished = tag("half") if step else tag("half", snapshots=text(meant))
        assert meant == finished.tag.snapshots
        assert [0, 1, 2, 3] == engine.trades(RowsRequest(tag="half")).rows["offset"].to_pylist()
        with pytest.raises(DeathError):
            Tags(Dying(catalog, step), settings).drop("half")
        if step:
            with pytest.raises(RequestError, match=r"^tag: .*half dropped: `k2 tag drop half`"):
                engine.trades(RowsRequest(tag="half"))
            with pytest.raises(OperatorError, match="half dropped"):
                tag("half")
        tags.drop("half")
        assert all("half" not in load(catalog, settings, name).metadata.refs for name in SPECS)
    assert ["whole"] == list(tags.all())


def text(ids):
    return ",".join(f"{name}:{'none' if number is None else number}" for name, number in ids.items())


@pytest.mark.usefixtures("lake")
def test_a_name_means_one_set(put, tag, catalog, settings):
    """Asked for again it is there; for another set, or where a table has that name already, it is refused."""
    first = tag("a")
    assert ("made", "there") == (first.how, tag("a").how)
    assert {"dead_letters": None, "loads": None} == {k: v for k, v in first.tag.snapshots.items() if not v}
    put("trades", [trade(8)])
    with pytest.raises(OperatorError, match=r"tag 'a' is there, and means another set.*k2 tag drop a"):
        tag("a")
    assert "there" == tag("a", snapshots=text(first.tag.snapshots)).how
    table = load(catalog, settings, Name.QUOTES)
    table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "theirs").commit()
    with pytest.raises(OperatorError, match="quotes has a branch or tag 'theirs' that K2 did not make"):
        tag("theirs")
    for name in ("main", "5", "2026-01-05T00:00:00Z", "-x", "a" * 65, "a b"):
        with pytest.raises(OperatorError, match="is no name for a tag"):
            tag(name)
    assert ["a"] == list(Tags(catalog, settings).all())


@pytest.mark.usefixtures("lake")
def test_a_tag_that_another_program_moved_is_refused(put, engine, tag, catalog, settings):
    """The record and the tables must say the same; else a set could be mixed."""
    tag("a")
    newer = put("trades", [trade(8)])
    table = load(catalog, settings, Name.TRADES)
    table.manage_snapshots().remove_tag("a").commit()
    with pytest.raises(
        RequestError, match=r"^tag: tag 'a' means snapshot \d+ of trades, the table has it at None"
    ):
        engine.trades(RowsRequest(tag="a"))
    table.refresh().manage_snapshots().create_tag(newer, "a").commit()
    with pytest.raises(RequestError, match=f"the table has it at {newer}"):
        engine.trades(RowsRequest(tag="a"))
    assert 2 == engine.quotes(RowsRequest(tag="a")).rows.num_rows
    expire_all(catalog, settings)
    with pytest.raises(GoneError, match=r"^tag: snapshot \d+ of trades is not there, or has expired"):
        engine.trades(RowsRequest(tag="a"))


def test_tags_and_flushes_do_not_lose_each_other(catalog, settings):
    """While a worker commits, tags are made and dropped: every row is there, every tag is whole."""
    who, failed = writer(catalog, settings), []

    def work():
        try:
            for n in range(12):
                commit_flush(who, flush(span(5 * n, 5 * n + 5), dead=[5 * n]))
        except BaseException as error:  # the thread's own end: the test looks at it
            failed.append(error)
            raise

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    tags = Tags(catalog, settings)
    snapshots = Snapshots(catalog, settings)
    made = []
    while worker.is_alive() or not made:
        made.append(
            tags.create(f"t{len(made)}", partial(tag_set, snapshots, Request()), NOW_US, explicit=False)
        )
        if len(made) % 3 == 0:
            tags.drop(made.pop().tag.name)
    ended(worker)
    assert [] == failed
    assert [n for n in range(60) if n % 5] == offsets(load(catalog, settings, Name.TRADES))
    assert {one.tag.name for one in made} == set(tags.all())
    engine = QueryEngine(settings, catalog, {})
    for one in made:
        ids = engine.trades(RowsRequest(tag=one.tag.name)).snapshots
        assert {name: one.tag.snapshots[name] for name in ("gaps", "trades")} == ids
    engine.close()


@pytest.mark.usefixtures("lake")
def test_what_has_expired_cannot_be_tagged(put, engine, tag, catalog, settings):
    """Nothing is left to keep; an existing tag whose snapshot is gone says so."""
    answer = engine.trades(RowsRequest())
    put("trades", [trade(8)])
    expire_all(catalog, settings)
    with pytest.raises(GoneError, match=r"^as_of: the snapshots of that time have expired"):
        tag("late", as_of=answer.as_of_us)
    with pytest.raises(GoneError, match=r"^snapshots: snapshot \d+ of trades is not there, or has expired"):
        tag("late", snapshots=f"trades:{answer.snapshots['trades']}")
    assert {} == Tags(catalog, settings).all()


@pytest.mark.usefixtures("lake")
def test_the_commands_make_list_and_drop_tags(put, engine, settings, monkeypatch, capsys):
    """`k2 tag`: what it prints, and what it refuses."""
    monkeypatch.setenv("K2_HOME", str(settings.home))
    answer = engine.trades(RowsRequest())
    put("trades", [trade(9)])

    def run(*arguments):
        k2.app(["tag", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    assert "no tags\n" == run("list")
    assert f"trades:{answer.snapshots['trades']}" in run("create", "a", "--as-of", f"{answer.as_of_us}us")
    assert "tag 'b' is made: dead_letters:none,gaps:" in run("create", "b")
    assert "is there already" in run("create", "b")
    listed = json.loads(run("list", "--output", "json"))
    assert [("a", "whole"), ("b", "whole")] == [(one["name"], one["state"]) for one in listed]
    assert "whole" in run("list")
    assert 4 == engine.trades(RowsRequest(tag="a")).rows.num_rows
    assert "tag 'a' is dropped" in run("drop", "a")
    with pytest.raises(OperatorError, match="there is no tag 'a'; the nearest is 'b'"):
        run("drop", "a")
    with pytest.raises(RequestError, match=r"^snapshots: takes no as_of beside it"):
        run("create", "c", "--as-of", "1s", "--snapshots", "trades:1")


def test_a_tag_of_an_empty_lake_is_one(engine, tag, put):
    """Every table is known to have had nothing; it stays so."""
    assert {name.value: None for name in SPECS} == tag("empty").tag.snapshots
    put("trades", [trade(0)])
    assert 0 == engine.trades(RowsRequest(tag="empty")).rows.num_rows
    assert [] == engine.symbols(SymbolsRequest(tag="empty")).rows.to_pylist()
