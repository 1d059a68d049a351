"""`k2 status` and `k2 loads`: with and without a worker, and before there is anything."""

import json
import os
import signal
import subprocess
import sys

import pytest
from commands import csv, k2, k2_json, load, load_id
from homes import QUOTES, REFERENCE, TRADES, Home, counting, stopped, trades, wait_until

from k2app.cli.status import WIDTH
from tests.processes import WITHIN_S

WATCHED_S = 60.0
"""Deadline of a watched status: far above the seconds that two looks take."""


def of_topic(status, topic):
    return [part for part in status["partitions"] if part["topic"] == topic and part["end"]]


def test_what_is_in_the_lake_and_what_is_not(home):
    """Offsets, floor, lag in rows and seconds, states, tables, disk: before, between and after two flushes."""
    home.publish(trades(counting(1, 10)))
    before = k2_json(home, "status")
    (part,) = of_topic(before, TRADES)
    assert (0, 10, 0, 10, None, "none") == tuple(
        part[name] for name in ("start", "end", "floor", "lag_rows", "watermark", "state")
    )
    assert 0 < part["lag_s"] < 60
    assert {"running": False, "pid": None} == before["worker"]
    assert [None] * 6 == [table["last_commit"] for table in before["tables"]]
    home.drain()
    home.publish(trades(counting(1, 5, first=11)))
    home.publish_raw([(b"S0", b"not Avro")], partition=part["partition"])
    between = k2_json(home, "status")
    (part,) = of_topic(between, TRADES)
    assert (16, 10, 6, 10, "current") == tuple(
        part[name] for name in ("end", "floor", "lag_rows", "watermark", "state")
    )
    assert 6 == between["lag_rows"]
    home.drain()
    after = k2_json(home, "status")
    (part,) = of_topic(after, TRADES)
    assert (16, 0, 0.0, 16, "current") == tuple(
        part[name] for name in ("floor", "lag_rows", "lag_s", "watermark", "state")
    )
    table = {one["table"]: one for one in after["tables"]}
    assert (15, 2, 2) == tuple(table["trades"][name] for name in ("rows", "data_files", "snapshots"))
    assert 1 == after["dead_letters"] == table["dead_letters"]["rows"]
    assert all(after["space"][name] > 0 for name in ("log_bytes", "warehouse_bytes", "state_bytes"))
    assert {TRADES, QUOTES, REFERENCE} == {part["topic"] for part in after["partitions"]}


def test_beside_a_worker(home):
    """The worker is named, and is not disturbed by being looked at."""
    home.publish(trades(counting(1, 10)))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.2")) as worker:
        wait_until(lambda: sum(home.floors().values()) == 10, "the first flush")
        assert {"running": True, "pid": worker.pid} == k2_json(home, "status")["worker"]
        assert f"worker: process {worker.pid}" in k2(home, "status")
        worker.terminate()
        assert 0 == worker.wait(30)
    assert "no worker is running" in k2(home, "status")


def test_page_fits(home):
    """120 columns, whatever the numbers."""
    home.publish(trades(counting(1, 10)))
    page = k2(home, "status")
    assert TRADES in page
    assert "10 rows are not in the lake yet" in page
    assert max(len(line.rstrip()) for line in page.splitlines()) <= WIDTH


def test_watch_until_interrupted(home):
    """Looks again and again; Ctrl-C ends it with the shell's status and one line."""
    _ = home.log
    watch = subprocess.Popen(
        [sys.executable, "-m", "k2app.cli.k2", "status", "--watch"],
        env=os.environ | home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with stopped(watch, WATCHED_S):
        looks = 0
        while looks < 2:
            line = watch.stdout.readline()
            assert line, watch.stderr.read()
            looks += "no worker is running" in line
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=WITHIN_S)
        assert (130, "k2: interrupted\n") == (watch.returncode, errors)


@pytest.mark.parametrize(
    "command", [["status"], ["loads"], ["retract", "abcd"], ["rebuild-state"], ["trim", "--dry-run"]]
)
def test_before_there_is_anything(tmp_path, command):
    """One sentence with the way out, and nothing is made."""
    home = Home(tmp_path / "home")
    assert "run `k2 init`" in k2(home, *command, status=2)
    assert ["exchanges.toml"] == [path.name for path in home.path.iterdir()]


@pytest.mark.parametrize(
    ("command", "instead"), [("trim", "retention.ms"), ("rebuild-state", "-sequences-changelog")]
)
def test_kafka_has_tools_of_its_own(home, command, instead):
    """What looks after the embedded log says so, and what to do on Kafka."""
    _ = home.log
    said = k2(home, command, status=2, K2_LOG_URL="kafka://localhost:1")
    assert "this command looks after the embedded log, and K2_LOG_URL names Kafka" in said
    assert instead in said


def test_loads_are_listed_newest_last(home):
    """With state, rows, rejects and offsets; by state and by number."""
    load(home, csv(home, "a.csv", [(0, "10", 1), (1, "x", 2)]))
    load(home, csv(home, "b [x].csv", [(2, "12", 3)]))
    first, second = k2_json(home, "loads")
    assert ("a.csv", 1, 1, "sent") == tuple(first[name] for name in ("file", "rows", "rejects", "state"))
    assert [(TRADES, 0, 1), (TRADES, 1, 2)] == [
        (sent["topic"], sent["start"], sent["end"]) for one in (first, second) for sent in one["offsets"]
    ]
    assert 1 == k2_json(home, "status")["rejects"]
    k2(home, "retract", load_id(home, 0))
    assert ["b [x].csv"] == [one["file"] for one in k2_json(home, "loads", "--state", "sent")]
    assert ["a.csv"] == [one["file"] for one in k2_json(home, "loads", "--limit", "1")]
    page = k2(home, "loads")
    assert first["load_id"][:12] in page
    assert "b [x].csv" in page
    assert "--state takes reserved, sent, failed, retracted; got 'lost'" in k2(
        home, "loads", "--state", "lost", status=2
    )
    counts = json.loads(k2(home, "status", "-o", "json"))["loads"]
    assert {"reserved": 0, "sent": 1, "failed": 0, "retracted": 1} == counts
