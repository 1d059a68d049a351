"""Replay: total order, pinned, resumable anywhere, whatever the windows and pieces."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k2app.errors import RequestError
from k2app.lake.catalog import create_tables, open_catalog
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.queries import TRADES_QUERY
from k2app.query.reading import ordered
from k2app.query.replay import replay
from k2app.query.replay.lines import Lines
from k2app.query.replay.pace import Pace
from k2app.query.replay.query import REPLAY_QUERY
from k2app.query.replay.replay import Feed, open_replay
from k2app.query.replay.request import ReplayFormat, ReplayRequest
from k2app.query.replay.script import Script
from k2app.query.requests import RowsRequest, make
from k2app.settings import Settings
from tests.processes import WITHIN_S
from tests.query_lake import MONDAY_US, append, quote, trade
from tests.replay_lake import expected, made_rows, objects, open_gap, put_in_commits, rows_of

MADE = made_rows(7)

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """An engine over a lake of made-up rows."""
    settings = Settings(home=tmp_path_factory.mktemp("replay"))
    catalog = open_catalog(settings)
    create_tables(catalog, settings)
    append(
        catalog,
        settings,
        "gaps",
        [open_gap(3, 3, 4), open_gap(900, 9, 9), open_gap(5, 3, 4, data_type="quotes")],
    )
    put_in_commits(lambda table, rows: append(catalog, settings, table, rows), MADE)
    engine = QueryEngine(settings, catalog, exchanges.load())
    yield engine
    engine.close()
    catalog.close()


@pytest.fixture(params=[(1_000_000, 65_536), (20, 7), (1, 1)], ids=["one window", "windows", "a row each"])
def cut(request, monkeypatch):
    """How the rows are cut into windows and pieces."""
    window_rows, piece_rows = request.param
    monkeypatch.setattr(replay, "WINDOW_ROWS", window_rows)
    monkeypatch.setattr("k2app.query.rows.WINDOW_ROWS", window_rows)
    monkeypatch.setattr(ordered, "PIECE_ROWS", piece_rows)
    return window_rows


def run(engine, **asked):
    """Every line of a replay as fast as it can be read, each step a job of its own."""
    request = make(ReplayRequest, **asked)
    lines = engine.submit_step(
        request, lambda reader: Lines(Feed(open_replay(reader, request)), ReplayFormat.NDJSON)
    ).future.result(WITHIN_S)
    script = Script(lines, Pace(request.speed, request.rate), 0.0)
    written = [lines.start()]
    while (part := engine.submit_step(request, lines.step).future.result(WITHIN_S)) is not None:
        script.take(part)
        written += script.due(0.0)
        written.append(lines.progress(script.rows, part.place(len(part) - 1)))
    return b"".join([*written, lines.end()])


def visible(row):
    return row["sequence_flag"] != "duplicate"


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("data_type", ["both", "trades", "quotes"])
def test_rows_come_in_the_total_order(lake, data_type):
    """As a slow sort has them: time, quotes first, sequence with null first, and so on."""
    tables = ("quotes", "trades") if data_type == "both" else (data_type,)
    assert expected(MADE, tables, visible) == rows_of(objects(run(lake, data_type=data_type)))
    every = rows_of(objects(run(lake, data_type=data_type, include_duplicates=True)))
    assert expected(MADE, tables) == every


TRIED = 10
"""Tokens of one replay that are resumed from, at least, if there are so many."""


@pytest.mark.usefixtures("cut")
def test_a_resume_token_begins_the_exact_rest(lake):
    """Rows, gaps and the hash of them: what came before it and what comes after it are the whole."""
    whole = objects(run(lake))
    told = [line for line in whole if line.get("control") in (None, "gap")]
    seen, tokens = 0, 0
    for line in whole:
        if line.get("control") in ("start", "progress"):
            tokens += 1
            if tokens % max(1, len(told) // TRIED):
                continue
            rest = [o for o in objects(run(lake, cursor=line["cursor"])) if o.get("control") in (None, "gap")]
            assert told[seen:] == rest
        elif line.get("control") != "end":
            seen += 1


def test_the_place_of_every_row_can_be_resumed_from(lake):
    """Not only those that progress lines name."""
    request = ReplayRequest()
    opened = lake.submit_step(request, lambda reader: open_replay(reader, request)).future.result(WITHIN_S)
    feed = Feed(opened)
    piece = lake.submit_step(request, feed.next).future.result(WITHIN_S)
    every = expected(MADE, wanted=visible)
    for row, place in enumerate(piece.every_place()):
        assert piece.place(row) == place
        if row % 5 == 0:
            assert every[row + 1 :] == rows_of(objects(run(lake, cursor=opened.cursor(place))))


@FEW
@given(
    symbols=st.sets(st.sampled_from(["BHP", "RIO", "NONE"]), max_size=2),
    start=st.none() | st.integers(0, 12),
    length=st.integers(1, 12),
    duplicates=st.booleans(),
    data_type=st.sampled_from(["both", "trades", "quotes"]),
)
def test_filters_leave_the_rest_in_order(lake, symbols, start, length, duplicates, data_type):
    """By symbol, time and table."""
    tables = ("quotes", "trades") if data_type == "both" else (data_type,)
    bounds = {} if start is None else {"start": MONDAY_US + start, "end": MONDAY_US + start + length}
    found = run(lake, symbol=tuple(symbols), include_duplicates=duplicates, data_type=data_type, **bounds)

    def wanted(row):
        micros = int(row["timestamp"].timestamp()) * 1_000_000 + row["timestamp"].microsecond - MONDAY_US
        return (
            (not symbols or row["symbol"] in symbols)
            and (start is None or start <= micros < start + length)
            and (duplicates or visible(row))
        )

    assert expected(MADE, tables, wanted) == rows_of(objects(found))


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_streams_of_one_table_have_the_same_order(lake, order):
    """Ascending and descending, whole and from every third cursor."""
    every = [offset for _, offset in expected(MADE, ("trades",), visible)][:: 1 if order == "asc" else -1]
    assert every == streamed(lake, order=order)
    for limit in range(1, len(every), 3):
        page = lake.trades(RowsRequest(order=order, limit=limit))
        assert every[:limit] == page.rows["offset"].to_pylist()
        assert every[limit:] == streamed(lake, order=order, cursor=page.next)


def streamed(engine, **asked):
    work = lambda stream: [n for b in stream.batches for n in b["offset"].to_pylist()]  # noqa: E731 - a callback
    return engine.submit_stream(TRADES_QUERY, RowsRequest(**asked), work).future.result(WITHIN_S)


@pytest.mark.usefixtures("cut")
def test_gaps_stand_before_the_rows_that_showed_them(lake):
    """Before every row of that time and table; after everything where no such row is left."""
    lines = objects(run(lake, end=MONDAY_US + 1_000))
    said = [(at, line) for at, line in enumerate(lines) if line.get("control") == "gap"]
    assert [("trades", 3), ("quotes", 3), ("trades", 9)] == [
        (g["data_type"], g["from_sequence"]) for _, g in said
    ]
    for at, line in said:
        place = (line["timestamp"], line["data_type"])
        before = [(o["timestamp"], o["record"]) for o in lines[:at] if "control" not in o]
        after = [(o["timestamp"], o["record"]) for o in lines[at:] if "control" not in o]
        assert all(p < place for p in before)
        assert all(p >= place for p in after)


def test_lines_say_what_is_whole(lake):
    """Start with snapshots, end with the count and the hash of the lines of rows; the same bytes every time."""
    body = run(lake)
    assert body == run(lake)
    first, *_, last = lines = objects(body)
    rows = [line for line in body.splitlines(keepends=True) if not line.startswith(b'{"control"')]
    assert {"gaps", "quotes", "trades"} == set(first["snapshots"])
    assert "duplicates_hidden" in {warning["code"] for warning in first["warnings"]}
    assert (len(rows), hashlib.sha256(b"".join(rows)).hexdigest()) == (last["rows"], last["sha256"])
    assert ("start", "end") == (lines[0]["control"], last["control"])
    quoted = next(line for line in lines if line.get("record") == "quotes")
    assert "bid_price" in quoted
    assert "price" not in quoted


@pytest.mark.usefixtures("cut")
def test_batches_have_the_union_of_columns(lake):
    """As the lines have them, absent ones null; the metadata resumes after each batch."""
    columns = ("offset", "price", "bid_price", "symbol")

    def read(stream):
        found = [(batch, stream.cursor()) for batch in stream.batches]
        return stream.schema, found

    request = ReplayRequest(columns=columns)
    schema, found = lake.submit_stream(REPLAY_QUERY, request, read).future.result(WITHIN_S)
    assert ["record", *columns] == schema.names
    rows = [row for batch, _ in found for row in batch.to_pylist()]
    assert expected(MADE, wanted=visible) == [(row["record"], row["offset"]) for row in rows]
    assert all((row["price"] is None) == (row["record"] == "quotes") for row in rows)
    done = 0
    for batch, token in itertools.islice(found, 3):
        done += batch.num_rows
        _, rest = lake.submit_stream(
            REPLAY_QUERY, ReplayRequest(columns=columns, cursor=token), read
        ).future.result(WITHIN_S)
        assert rows[done:] == [row for later, _ in rest for row in later.to_pylist()]


def test_retracted_rows_are_left_out_and_their_heirs_shown(put, record, engine):
    """As in pages: a hidden copy stands in for the row that was withdrawn."""
    first = trade(0, micros=5, load_id="gone", sequence=1)
    put(
        "trades", [first, trade(1, micros=5, load_id="kept", sequence=1, sequence_flag="duplicate"), trade(2)]
    )
    put("quotes", [quote(3, micros=5), quote(4, load_id="gone")])
    record("gone")
    found = objects(run(engine))
    assert [("trades", 2), ("quotes", 4), ("quotes", 3), ("trades", 1)] == rows_of(found)
    assert "retracted_hidden" in {warning["code"] for warning in found[0]["warnings"]}


def test_rows_of_later_commits_do_not_come(put, engine):
    """A token pins the snapshots: its rest is that of then."""
    put("trades", [trade(n) for n in range(3)])
    put("quotes", [quote(9, micros=1)])
    token = objects(run(engine))[0]["cursor"]
    put("trades", [trade(7, micros=0)])
    assert 5 == len(rows_of(objects(run(engine))))
    assert 4 == len(rows_of(objects(run(engine, cursor=token))))


def test_an_empty_lake_has_a_start_and_an_end(engine):
    """And says that nothing was committed."""
    start, end = objects(run(engine))
    assert 2 == len([w for w in start["warnings"] if w["code"] == "nothing_committed"])
    assert (0, hashlib.sha256(b"").hexdigest()) == (end["rows"], end["sha256"])


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"columns": "pric"}, "columns"),
        ({"columns": ("price", "price")}, "columns"),
        ({"speed": "0"}, "speed"),
        ({"speed": "nan"}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"rate": "0"}, "rate"),
        ({"data_type": "bars"}, "data_type"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"speed": "2", "format": "arrow"}, "speed"),
        ({"rate": "2", "format": "csv"}, "rate"),
        ({"format": "json"}, "format"),
    ],
)
def test_what_cannot_be_replayed_is_refused(lake, asked, parameter):
    """With the parameter's name."""
    with pytest.raises(RequestError) as caught:
        run(lake, **asked)
    assert parameter == caught.value.parameter


def test_a_token_of_another_question_is_refused(lake):
    """Speed and rate do not make another; everything else does."""
    token = objects(run(lake))[0]["cursor"]
    assert rows_of(objects(run(lake, cursor=token, numbers=True)))
    with pytest.raises(RequestError, match="cursor"):
        run(lake, cursor=token, symbol="BHP")
