"""A wall clock that jumps: by hours, back and forth, while the worker works."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from k2app.lake.catalog import open_catalog
from k2app.lake.floors import lineage_of
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.requests import RowsRequest
from tests.pipeline.health import ready
from tests.pipeline.homes import WORKER_S, Home, counting, free_port, stopped, trades, wait_until
from tests.pipeline.storm.disks import Printed
from tests.storm.storm import committed

WORKER = Path(__file__).with_name("clock_worker.py")

HOUR_S = 3_600

JUMPS_S = [0, -5 * HOUR_S, 7 * HOUR_S, 0]
"""How wrong the clock is for each part of the rows."""

EACH = 20


def worker_by(clock: Path, home: Home, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(clock)],
        env=os.environ | home.environment | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def set_clock(clock: Path, off_s: float) -> None:
    beside = clock.with_suffix(".new")
    beside.write_text(str(off_s))
    beside.replace(clock)


def test_rows_are_in_order_of_knowledge_whatever_the_clock_shows(home, tmp_path):
    """Commits go on, each is known later than the one before, and every state of the lake can be asked for."""
    clock, port = tmp_path / "clock", free_port()
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port), "K2_FLUSH_INTERVAL_S": "0.1"}
    limits = {"K2_HEALTH_COMMIT_AGE_S": "300", "K2_LOG_KEEP_HOURS": "1"}
    set_clock(clock, 0)
    _ = home.log
    with stopped(worker_by(clock, home, **served, **limits)) as worker:
        printed = Printed(worker)
        for part, off_s in enumerate(JUMPS_S):
            set_clock(clock, off_s)
            home.publish(trades(counting(2, EACH // 2, first=1 + part * EACH // 2)))
            wait_until(lambda end=(part + 1) * EACH: committed(home) == end, f"part {part} in the lake")
            wait_until(lambda: ready(port)[0] == 200, "a ready worker")
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(WORKER_S)
        assert "standing_down" not in printed.finish()
    # Its clock is back: what it finds in the lake is from hours later.
    home.publish(trades(counting(2, EACH // 2, first=1 + len(JUMPS_S) * EACH // 2)))
    home.drain()

    table = home.table(Name.TRADES)
    snapshots = list(lineage_of(table.metadata))[::-1]
    times_ms = [snapshot.timestamp_ms for snapshot in snapshots]
    assert sorted(set(times_ms)) == times_ms
    known_us = [known(table, snapshot) for snapshot in snapshots]
    assert sorted(known_us) == known_us
    assert all(us <= ms * 1_000 for us, ms in zip(known_us, times_ms, strict=True))
    assert all(ms * 1_000 < us for ms, us in zip(times_ms, known_us[1:], strict=False))

    engine = QueryEngine(home.settings, open_catalog(home.settings), exchanges.load())
    try:
        found = [engine.trades(RowsRequest(as_of=ms * 1_000, limit=1_000)).rows.num_rows for ms in times_ms]
    finally:
        engine.close()
    added = [int(snapshot.summary["added-records"]) for snapshot in snapshots]
    assert [sum(added[: n + 1]) for n in range(len(added))] == found
    assert EACH * (len(JUMPS_S) + 1) == found[-1]


def known(table, snapshot) -> int:
    """When the rows of one commit were known, microseconds; they share it."""
    rows = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
    mine = [
        row["committed_at"]
        for row in rows.select(["committed_at", "commit_id"]).to_pylist()
        if row["commit_id"] == snapshot.summary["k2.commit-id"]
    ]
    (moment,) = set(mine)
    return int(moment.timestamp() * 1_000_000)
