"""Loader and worker killed again and again, together and one at a time, and started again."""

import os
import signal
import subprocess
from collections import Counter

import numpy as np
import pytest

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import WORKER_S, Home, stopped, wait_until
from tests.pipeline.load.commands import LOAD, asx_trades
from tests.processes import WITHIN_S

ROWS = 12_000

ASX = ("--profile", "asx", "--type", "trades", "--symbol", "KTO")

SMALL_BLOCKS = {"K2_LOAD_BLOCK_BYTES": "4096"}
"""Blocks of about 130 rows, each durable before the next: a load long enough to be caught in its middle."""

SMALL_FLUSHES = {"K2_FLUSH_MAX_ROWS": "500", "K2_LOG_FETCH_ROWS": "100", "K2_FLUSH_INTERVAL_S": "0.2"}

KILL_WITHIN_S = 0.5
"""Seconds after the first of its rows within which a load is killed: it takes longer."""


def loader(home: Home, file) -> subprocess.Popen:
    return subprocess.Popen(
        [*LOAD, str(file), *ASX],
        env=os.environ | home.environment | SMALL_BLOCKS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sent(home: Home) -> int:
    return sum(home.ends().values())


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(WITHIN_S)


def let_run(process: subprocess.Popen, for_s: float) -> None:
    """Give a process a moment, or less if it ends by itself."""
    try:
        process.wait(for_s)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.parametrize("seed", [5])
def test_every_row_is_visible_once(home, tmp_path, seed):
    """What was sent twice is hidden, what was not sent is sent again, and each row keeps its number."""
    rng = np.random.default_rng(seed)
    file = tmp_path / "9001.csv"
    file.write_text(asx_trades(ROWS))
    _ = home.log
    worker = home.start(**SMALL_FLUSHES)
    for victims in ("both", "loader", "worker"):
        before = sent(home)
        with stopped(loader(home, file)) as load:
            wait_until(lambda before=before, load=load: sent(home) > before or load.poll(), "rows on the log")
            let_run(load, KILL_WITHIN_S * rng.random())
            if victims != "worker":
                kill(load)
            if victims != "loader":
                with stopped(worker):
                    kill(worker)
                worker = home.start(**SMALL_FLUSHES)
            if victims == "worker":
                printed, _ = load.communicate(timeout=WORKER_S)
                assert 0 == load.returncode, printed
    with stopped(loader(home, file)) as load:
        printed, _ = load.communicate(timeout=WORKER_S)
        assert 0 == load.returncode, printed
    with stopped(worker):
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate(timeout=WORKER_S)
        assert 0 == worker.returncode, printed
    home.drain()

    rows = home.rows(Name.TRADES)
    assert [(p, o) for p, end in sorted(home.ends().items()) for o in range(end)] == [
        (r["partition"], r["offset"]) for r in rows
    ]
    visible = [r for r in rows if r["sequence_flag"] != "duplicate"]
    assert [(n, n) for n in range(1, ROWS + 1)] == sorted(
        (r["sequence"], int(r["quantity"])) for r in visible
    )
    assert Counter(first=1, ok=ROWS - 1) == Counter(r["sequence_flag"] for r in visible)
    assert [] == home.rows(Name.GAPS)
    assert [] == completeness(home.table(Name.TRADES))
