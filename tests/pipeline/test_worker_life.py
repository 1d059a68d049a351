"""The worker as a process: how it starts, ends, refuses and recovers."""

import json
import shutil
import signal
import urllib.request
from contextlib import closing

import pyarrow as pa
import pytest
from homes import OPEN_US, REFERENCE, TRADES, Home, counting, free_port, stopped, trades, wait_until

from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.stream.log_file import LogFile
from k2app.stream.log_records import records_from_pairs
from tests.pipeline.storm.disks import Printed
from tests.processes import WITHIN_S


def committed(home: Home) -> int:
    return sum(offset for (topic, _), offset in home.floors().items() if topic == TRADES)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signal_flushes_commits_and_ends(home, number, status):
    """A worker told to end commits what it has read: nothing waits for the next start."""
    home.publish(trades(counting(3, 50)))
    port = free_port()
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port)}
    with stopped(home.start(K2_FLUSH_INTERVAL_S="3000", K2_FLUSH_MAX_ROWS="100", **served)) as worker:
        wait_until(lambda: committed(home) > 0, "the first flush, by rows")
        home.publish(trades(counting(3, 10, first=51)))
        wait_until(lambda: trades_read(port) == 180, "the rest to be read")
        worker.send_signal(number)
        assert status == worker.wait(30)
    assert 180 == len(home.rows(Name.TRADES))


def trades_read(port: int) -> int:
    """Records that a worker has read, by its own count: what is in its buffer shows nowhere else."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith('k2_records_in_total{table="trades"')]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signal_ends_a_drain_that_cannot_finish(home, number, status):
    """Nobody reads any more once it is told to stop: it does not wait for the end of the log."""
    home.publish(trades(counting(3, 50)))
    with stopped(home.start("--drain", K2_DISK_MIN_FREE_BYTES=str(2**60))) as worker:
        printed = Printed(worker)
        wait_until(lambda: "draining" in printed.since(0), "a drain")
        worker.send_signal(number)
        assert status == worker.wait(WITHIN_S), printed.since(0)
    assert {} == home.floors()


def test_daemon_commits_by_age(home):
    """A few rows do not wait for many: the oldest of them sets the time."""
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.2")):
        home.publish(trades(counting(1, 5)))
        wait_until(lambda: committed(home) == 5, "a flush by age")
        home.publish(trades(counting(1, 5, first=6)))
        wait_until(lambda: committed(home) == 10, "another flush by age")


def test_committed_offsets_reach_the_end_when_idle(home):
    """Lag tools see an idle log as read to its end, and never an offset that is not in the lake."""
    home.publish(trades(counting(3, 50)))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.2")):
        wait_until(
            lambda: home.log.committed("k2-iceberg-writer") == _ends(home), "committed offsets at the end"
        )
    assert {(TRADES, p): end for p, end in home.ends().items() if end} == home.floors()


def _ends(home: Home) -> dict:
    return {(TRADES, p): end for p, end in home.ends().items() if end}


def test_unflushed_rows_are_not_committed_to_the_log(home):
    """A worker killed with rows in its buffer has not told the log that they are done."""
    home.publish(trades(counting(3, 50)))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="3000", K2_FLUSH_MAX_ROWS="100")) as worker:
        wait_until(lambda: home.log.committed("k2-iceberg-writer"), "a first commit of offsets")
        home.publish(trades(counting(3, 10, first=51)))
        worker.send_signal(signal.SIGKILL)
        worker.wait(WITHIN_S)
    assert home.log.committed("k2-iceberg-writer").items() <= home.floors().items()
    home.drain()
    assert 180 == len(home.rows(Name.TRADES))


def test_second_worker_is_refused(home):
    """The embedded log has one worker; the error names the first and the way to more."""
    home.publish(trades(counting(1, 1)))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.1")) as first:
        wait_until(lambda: committed(home) == 1, "the first worker at work")
        status, printed = home.run("--drain")
        assert 2 == status
        assert f"another worker (process {first.pid}) already consumes" in printed
        assert "use Kafka for more" in printed
        assert "Traceback" not in printed


def test_drain_of_an_empty_log_commits_nothing(home):
    """There is never an empty commit."""
    _ = home.log
    home.drain()
    assert [] == home.table(Name.TRADES).snapshots()


def test_three_data_types_in_one_worker(home):
    """Trades, quotes and reference data each reach their table; a tombstone is kept, not lost."""
    reference = trades([("BHP", None)]).select(
        [
            "symbol",
            "exchange",
            "asset_class",
            "currency",
            "ingested_at",
            "load_id",
            "source_line",
            "attributes",
        ]
    )
    home.publish(with_nulls(reference, company_id="7078"), DataType.REFERENCE_DATA)
    home.publish_raw([(b"7078", None)], topic=REFERENCE)
    home.publish(trades(counting(1, 3)))
    home.drain()
    assert [("7078", "BHP")] == [(r["company_id"], r["symbol"]) for r in home.rows(Name.REFERENCE_DATA)]
    assert [(b"7078", "null value (tombstone)")] == [
        (r["key"], r["reason"]) for r in home.rows(Name.DEAD_LETTERS)
    ]
    assert 3 == len(home.rows(Name.TRADES))


def with_nulls(rows, company_id):
    n = rows.num_rows
    return (
        rows.append_column("company_id", pa.array([company_id] * n))
        .append_column("name", pa.nulls(n, pa.string()))
        .append_column("isin", pa.nulls(n, pa.string()))
        .append_column("listed_from", pa.nulls(n, pa.date32()))
        .append_column("listed_to", pa.nulls(n, pa.date32()))
    )


# --- state


def damage_nothing(home: Home) -> None:
    pass


def drop_state(home: Home) -> None:
    shutil.rmtree(home.path / "state")


def changelogs(home: Home) -> list[tuple[str, int]]:
    return [
        (t.name, p) for t in home.log.topics() if t.name.endswith("changelog") for p in range(t.partitions)
    ]


def drop_state_and_changelog(home: Home) -> None:
    drop_state(home)
    for place in changelogs(home):
        home.log.trim(*place, 2**62)


def stale_changelog(home: Home) -> None:
    """States of before, watermark and all, written again behind the good ones: what a zombie would do."""
    drop_state(home)
    for topic, partition in changelogs(home):
        batch = home.log.read(topic, partition, 0, max_rows=10**6, max_bytes=2**40)
        if batch is not None:
            wrong = [
                (batch.key(i), (batch.value(i) or b"").replace(b"20,", b"9,")) for i in range(len(batch))
            ]
            home.log.append(topic, [records_from_pairs(partition, wrong)])


@pytest.mark.parametrize(
    "damage",
    [damage_nothing, drop_state, drop_state_and_changelog, stale_changelog],
    ids=lambda d: d.__name__,
)
def test_states_are_right_whatever_became_of_the_tables(home, damage):
    """The tables are a cache: kept, recovered, or rebuilt from the lake, the next rows are judged alike."""
    home.publish(trades([n for n in counting(2, 20) if n not in {("S0", 7), ("S1", 9)}]))
    home.drain()
    damage(home)
    home.publish(
        trades([("S0", 7), ("S0", 5), ("S0", 21), ("S1", 23), ("S1", 9)], start_us=OPEN_US - 1_000_000)
    )
    home.drain()
    sequel = [r for r in home.rows(Name.TRADES) if r["timestamp"].timestamp() * 1_000_000 < OPEN_US]
    assert {
        ("S0", 7): "late",
        ("S0", 21): "ok",
        ("S1", 23): "gap",
        ("S1", 9): "late",
        ("S0", 5): "conflict",
    } == {(r["symbol"], r["sequence"]): r["sequence_flag"] for r in sequel}


# --- the log is not what the lake was written from


def refused(home: Home) -> str:
    status, printed = home.run("--drain")
    assert 2 == status, printed
    assert "Traceback" not in printed
    return printed


def test_hole_stops_the_worker_and_is_recorded_on_request(home):
    """Offsets that are gone are named; with K2_ON_HOLE=continue the hole is written down and the rest goes on."""
    home.publish(trades(counting(1, 10)))
    home.drain()
    for first in (11, 16):
        home.publish(trades(counting(1, 5, first=first)))
    (partition,) = [p for p, end in home.ends().items() if end]
    home.log.trim(TRADES, partition, 15)
    printed = refused(home)
    assert f"partition {partition} of {TRADES}" in printed
    assert (
        "starts at 15, the lake ends at 10: 5 offsets are gone from the log; set K2_ON_HOLE=continue"
        in printed
    )

    home.drain(K2_ON_HOLE="continue")
    assert [*range(10), *range(15, 20)] == [r["offset"] for r in home.rows(Name.TRADES)]
    summary = home.table(Name.TRADES).current_snapshot().summary
    assert [15, 20, 0, 10] == json.loads(summary["k2.range"])[home.log.log_id][TRADES][str(partition)]
    home.drain()


def test_recreated_log_is_refused(home):
    """Another log under the same path is not read as if it were the old one, until the operator says so."""
    home.publish(trades(counting(1, 10)))
    home.drain()
    home.log.close()
    for file in home.path.glob("log.db*"):
        file.unlink()
    again = Home.__new__(Home)
    again.__dict__.update({k: v for k, v in home.__dict__.items() if k not in ("log", "made")})
    again.publish(trades(counting(1, 3)))
    printed = refused(again)
    assert "the log was recreated, or another one is configured" in printed
    assert "K2_ON_NEW_LOG=continue" in printed
    again.drain(K2_ON_NEW_LOG="continue")
    again.drain()
    assert 13 == len(again.rows(Name.TRADES))


def test_old_copy_of_the_log_is_refused(home):
    """A log restored from a backup and written to again is told by the fingerprint, a shorter one by its end."""
    home.publish(trades(counting(1, 10)))
    home.log.close()
    shutil.copy(home.path / "log.db", home.path / "copy")
    with closing(LogFile(home.path / "log.db")) as log:
        home.__dict__["log"] = log
        home.publish(trades(counting(1, 10, first=11)))
        home.drain()
    for file in home.path.glob("log.db*"):
        file.unlink()
    shutil.copy(home.path / "copy", home.path / "log.db")
    assert "ends at 10, the lake ends at 20: the log was recreated or restored from an old copy" in refused(
        home
    )
    with closing(LogFile(home.path / "log.db")) as log:
        home.__dict__["log"] = log
        home.publish(trades(counting(1, 10, first=11), price=500))
        assert "record 19 is not the one that the lake holds" in refused(home)


def test_changed_sequence_rule_is_refused(home):
    """Rows flagged under one rule and rows flagged under another do not mean the same."""
    home.publish(trades(counting(1, 3)))
    home.drain()
    (home.path / "exchanges.toml").write_text(
        "[asx]\npartitions = 2\n[asx.sequences]\ntrades = { kind = 'increasing' }\n"
    )
    assert "k2.sequence-rule.asx is pinned as 'contiguous trading_date first=1'" in refused(home)


def test_changed_partition_count_is_refused(home):
    """Keys would move to other partitions, and states with them."""
    _ = home.log
    (home.path / "exchanges.toml").write_text("[asx]\npartitions = 3\n")
    assert "has 2 partitions, the configuration says 3: a partition count never changes" in refused(home)
