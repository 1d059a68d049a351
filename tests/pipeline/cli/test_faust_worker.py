"""Faust's own worker: `faust -A k2app.app worker`."""

import json
import os
import signal
import subprocess

from tests.pipeline.homes import WORKER_S, counting, stopped, trades, wait_until
from tests.pipeline.storm.disks import Printed
from tests.storm.storm import committed


def faust_worker(home, programs, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [programs / "faust", "-A", "k2app.app", *options],
        env=os.environ | home.environment | {"K2_FLUSH_INTERVAL_S": "0.2", "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def faust_lines(home, programs, *options: str) -> list[str]:
    """What Faust's own worker writes to standard error while it commits some rows."""
    _ = home.log
    before = committed(home)
    home.publish(trades(counting(1, 10, first=1 + before)))
    process = faust_worker(home, programs, *options)
    process.stdout = process.stderr
    with stopped(process) as worker:
        printed = Printed(worker)
        wait_until(lambda: committed(home) == before + 10, "rows in the lake")
        worker.send_signal(signal.SIGTERM)
        worker.wait(WORKER_S)
        return printed.finish().splitlines()


def test_fausts_worker_writes_the_same_lines(home, programs):
    """In the chosen form, ours and its own; with `--loglevel`, from that level on."""
    found = [json.loads(line) for line in faust_lines(home, programs, "worker")]
    assert "flushed" in {line["event"] for line in found}
    assert {"info", "warning"} >= {line["level"] for line in found}
    quiet = faust_lines(home, programs, "--loglevel", "error", "worker")
    assert [] == quiet
    told = [json.loads(line) for line in faust_lines(home, programs, "worker", "--loglevel", "debug")]
    assert any(line["logger"].startswith(("faust", "mode")) for line in told)
    assert {"timestamp", "level", "logger", "event"} <= set.intersection(*(set(line) for line in told))
