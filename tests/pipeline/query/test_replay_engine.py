"""Replay from Python and on the command line, to standard output and into topics."""

from __future__ import annotations

import io
import json
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal

import fastavro
import pytest

import schemas
from k2app.cli import k2_query as cli
from k2app.errors import OperatorError
from k2app.query.replay.engine import ReplayEngine
from k2app.query.replay.lines import Lines
from k2app.query.replay.player import opened, play
from k2app.query.replay.replay import Feed
from k2app.query.replay.request import ReplayFormat, ReplayRequest
from k2app.stream.log_file import LogFile
from k2app.stream.log_path import log_path
from tests.query_lake import MONDAY_US, at, quote, trade
from tests.replay_lake import expected, made_rows, objects, put_in_commits, rows_of

MADE = made_rows(3, rows=40)


def visible(row):
    return row["sequence_flag"] != "duplicate"


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self):
        self.now_s, self.slept = 1_000.0, []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture
def rows(put):
    put_in_commits(put, MADE, commits=1)
    return expected(MADE, wanted=visible)


@pytest.fixture
def run(settings, monkeypatch, capsysbinary):
    """Run k2-query on the test's lake; status, standard output and standard error."""

    def command(*arguments):
        monkeypatch.setenv("K2_HOME", str(settings.home))
        monkeypatch.setattr(sys, "argv", ["k2-query", *arguments])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        done = capsysbinary.readouterr()
        return ended.value.code or 0, done.out, done.err.decode()

    return command


def test_a_player_writes_rows_when_they_are_due(engine, put):
    """By a clock that passes only while it sleeps: as far apart as they happened, sped up."""
    put("trades", [trade(0), trade(1, micros=3_000_000), trade(2, micros=60_000_000)])
    request, clock, written = ReplayRequest(speed=2), Clock(), []
    lines = Lines(Feed(opened(engine, request)), ReplayFormat.NDJSON)
    rows = play(
        engine, lines, lambda data: written.append((clock() - 1_000, data)), clock=clock, sleep=clock.sleep
    )
    times = [s for s, data in written for line in objects(data) if "control" not in line]
    alive = [s for s, data in written for line in objects(data) if line.get("control") == "progress"]
    assert 3 == rows
    assert [0, 1.5, 30] == pytest.approx(times, abs=1e-3)
    assert [10, 20, 30] == pytest.approx(alive, abs=1e-3)


def test_cold_start_brings_everything_in_order_and_resumes(engine, rows):
    """Batches with a token each."""
    replays = ReplayEngine(engine)
    found = list(replays.cold_start_replay(rate=100_000.0))
    every = [(r["record"], r["offset"]) for one in found for r in one.rows.to_pylist()]
    assert rows == every
    done = found[0].rows.num_rows
    rest = replays.cold_start_replay(cursor=found[0].cursor)
    assert rows[done:] == [(r["record"], r["offset"]) for one in rest for r in one.rows.to_pylist()]


def test_rewind_begins_at_a_time(engine, rows):
    """As a time, as microseconds, as text."""
    replays = ReplayEngine(engine)
    late = [pair for pair in rows if time_of(pair) >= at(5)]
    for start in (at(5), MONDAY_US + 5, f"{MONDAY_US + 5}us"):
        found = replays.rewind_to_timestamp(start)
        assert late == [(r["record"], r["offset"]) for one in found for r in one.rows.to_pylist()]


def time_of(pair):
    return next(row["timestamp"] for row in MADE[pair[0]] if row["offset"] == pair[1])


def test_snapshots_can_be_listed_and_read(engine, put):
    """The lake as it was before the newest commit."""
    first = put("trades", [trade(0)])
    second = put("trades", [trade(1)])
    replays = ReplayEngine(engine)
    assert [second, first] == replays.list_snapshots("trades")["snapshot_id"].to_pylist()
    assert second == replays.get_current_snapshot()
    assert replays.get_current_snapshot("quotes") is None
    assert [0] == replays.query_at_snapshot(first).rows["offset"].to_pylist()
    stats = replays.get_replay_stats()
    assert (2, 0, second) == (stats.trades, stats.quotes, stats.snapshots["trades"])


def test_tables_for_programs(engine, put):
    """The calls by their short names."""
    put("trades", [trade(n, price="2", conditions=["0"]) for n in range(3)])
    put("quotes", [quote(9)])
    assert [0, 1] == engine.query_trades(symbol="BHP", limit=2)["offset"].to_pylist()
    assert 1 == engine.query_quotes().num_rows
    assert [Decimal(2)] == engine.get_market_summary("BHP", date(2026, 1, 5))["close"].to_pylist()
    assert ["BHP"] == engine.get_symbols()["symbol"].to_pylist()
    found = engine.get_date_range(symbol="BHP")
    assert (at(0), at(9)) == (found.first, found.last)
    assert engine.get_date_range(symbol="NONE").first is None
    assert {"trades", "quotes"} <= set(engine.get_stats()["table"].to_pylist())


def test_the_command_writes_what_http_sends(run, rows):
    """NDJSON with its control lines; how it went on standard error."""
    code, out, err = run("replay")
    assert 0 == code, err
    lines = objects(out)
    assert rows == rows_of(lines)
    assert ("start", "end") == (lines[0]["control"], lines[-1]["control"])
    assert f"{len(rows)} rows" in err
    code, out, _ = run(
        "replay", "--data-type", "trades", "--symbol", "BHP", "--rate", "100000", "--columns", "offset"
    )
    expected_rows = expected(MADE, ("trades",), lambda row: visible(row) and row["symbol"] == "BHP")
    assert expected_rows == rows_of(objects(out))


def read_topic(settings, topic):
    """Keys and decoded values of a topic's only partition."""
    with closing(LogFile(log_path(settings.log_url))) as log:
        batch = log.read(topic, 0, 0, max_rows=10_000, max_bytes=2**30)
        texts = {}
        found = []
        for row in range(len(batch)):
            value = batch.value(row)
            number = int.from_bytes(value[1:5], "big")
            texts.setdefault(number, fastavro.parse_schema(json.loads(log.schema_text(number))))
            found.append(
                (batch.key(row).decode(), fastavro.schemaless_reader(io.BytesIO(value[5:]), texts[number]))
            )
    return found


def test_a_topic_gets_the_records_as_they_were(run, settings, rows):
    """Keys, order and every field, under the schemas of the records' own topics; made if it is not there."""
    code, _, err = run("replay", "--to", "replay.asx")
    assert 0 == code, err
    assert "keeps no headers" in err
    found = read_topic(settings, "replay.asx")
    source = {(table, row["offset"]): row for table in MADE for row in MADE[table]}
    assert len(rows) == len(found)
    for pair, (key, value) in zip(rows, found, strict=True):
        row = source[pair]
        assert row["symbol"] == key
        shared = set(value) & set(row) - {"attributes"}
        assert {name: row[name] for name in shared} == {name: value[name] for name in shared}
        assert (None if row["attributes"] is None else dict(row["attributes"])) == value["attributes"]
        fields = schemas.newest("trade" if pair[0] == "trades" else "quote")["fields"]
        assert {field["name"] for field in fields} == set(value)
    assert (0, len(rows) * 2) == (
        run("replay", "--to", "replay.asx")[0],
        len(read_topic(settings, "replay.asx")),
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "market.equities.trades.asx"), "replay.equities.trades.asx"),
        (("--to", "market.anything"), "come back as new rows"),
        (("--to", "replay.x", "--columns", "price"), "columns"),
        (("--url", "http://127.0.0.1:1", "--to", "replay.x"), "run it there without --url"),
        (("--speed", "never"), "speed"),
    ],
)
def test_what_must_not_be_replayed_is_refused(run, rows, settings, arguments, says):
    """With one line and status 2; no topic is made."""
    assert rows
    code, out, err = run("replay", *arguments)
    assert (2, b"") == (code, out)
    assert says in err
    assert not log_path(settings.log_url).exists()


def test_errors_keep_their_kinds(engine):
    """A snapshot that is not there is refused by its name."""
    with pytest.raises(Exception, match="snapshot_id") as caught:
        next(ReplayEngine(engine).cold_start_replay(snapshot_id=5))
    assert not isinstance(caught.value, OperatorError)


def test_times_have_zones():
    """What the tests compare with is UTC."""
    assert datetime(2026, 1, 5, tzinfo=UTC) == at(0)
