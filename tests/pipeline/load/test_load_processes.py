"""Loaders as processes: at the same time, killed, interrupted, on a terminal, and in bounded memory."""

import os
import pty
import signal
import subprocess
import time
from collections import Counter

from k2app.lake.tables import Name
from k2app.load import ledger
from k2app.stream.log_path import log_path
from k2app.stream.worker_lock import WorkerLock
from tests.pipeline.homes import stopped, wait_until
from tests.pipeline.load.commands import LOAD, PATIENCE_S, asx_trades, ledger_rows, loaded, on_log

ASX = ("--profile", "asx", "--type", "trades", "--symbol", "KTO")

SMALL_BLOCKS = {"K2_LOAD_BLOCK_BYTES": "4096"}
"""Blocks of about 130 rows, each durable before the next: a load long enough to be caught in its middle."""

MANY = 150_000
"""Rows of a file that takes a second in small blocks."""


def ends(process) -> tuple[int, str, str]:
    """Status, standard output and standard error of a process that ends by itself."""
    with stopped(process):
        out, err = process.communicate(timeout=PATIENCE_S)
        process.stderr.close()
        return process.returncode, out, err


def on_log_count(home) -> int:
    return sum(home.ends().values())


def test_loads_at_the_same_time_never_get_the_same_numbers(k2, home):
    """Three processes with files of one symbol and date: every number once."""
    _ = home.log
    names = [k2.write(f"{i}.csv", asx_trades(50 + i, price=i)) for i in (1, 2, 3)]
    processes = [k2.process(name, *ASX) for name in names]
    for process in processes:
        assert 0 == ends(process)[0]
    rows = on_log(home)
    assert list(range(1, 157)) == sorted(row["sequence"] for row in rows)
    by_load = Counter(row["load_id"] for row in rows)
    assert [51, 52, 53] == sorted(by_load.values())


def caught(k2, home, number, name="big.csv") -> tuple[int, str, str, float]:
    """Start a load, send it a signal when some of it is on the log; how it ended, and after how many seconds."""
    process = k2.process(name, *ASX, **SMALL_BLOCKS)
    with stopped(process):
        wait_until(lambda: on_log_count(home) > 500, "some rows on the log")
        process.send_signal(number)
        begun = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE_S)
        took_s = time.monotonic() - begun
        process.stderr.close()
        assert 500 < on_log_count(home) < MANY
        return process.returncode, out, err, took_s


def visible_once(home) -> None:
    """Drain, and check that each row of the big file is visible once, with its own number."""
    home.drain()
    rows = home.rows(Name.TRADES)
    visible = [row for row in rows if row["sequence_flag"] != "duplicate"]
    assert {(n, n) for n in range(1, MANY + 1)} == {(r["sequence"], r["quantity"]) for r in visible}
    assert MANY == len(visible)
    assert {"first", "ok"} == {row["sequence_flag"] for row in visible}
    assert len(rows) > MANY


def test_a_killed_load_is_finished_by_loading_the_file_again(k2, home):
    """What was sent before it died comes back as duplicate: every row is visible once."""
    k2.write("big.csv", asx_trades(MANY, apart_ms=100))
    assert -signal.SIGKILL == caught(k2, home, signal.SIGKILL)[0]
    [entry] = ledger_rows(home)
    assert ledger.RESERVED == entry.state

    done = k2("big.csv", *ASX)
    assert 0 == done.status
    assert "  begun before and not finished, " in done.out
    visible_once(home)


def test_ctrl_c_ends_a_load_that_can_be_finished_later(k2, home):
    """At once, with the shell's status and a line that says what to do."""
    k2.write("big.csv", asx_trades(MANY, apart_ms=100))
    status, out, err, took_s = caught(k2, home, signal.SIGINT)
    assert (130, "") == (status, out)
    *progress, said = err.splitlines()
    assert "k2: interrupted; big.csv was sent in part: load it again for the rest" == said
    # A load that takes long says every few seconds how far it is.
    assert all(line.startswith(("big.csv: counting ", "big.csv: sending ")) for line in progress)
    assert took_s < 5
    assert 0 == k2("big.csv", *ASX).status
    visible_once(home)


def test_a_bar_on_a_terminal(k2, home):
    """While it loads; afterwards only the lines are left, and they are those of a pipe."""
    _ = home.log
    k2.write("9001.csv", asx_trades(3000))
    ours, theirs = pty.openpty()
    with stopped(
        subprocess.Popen(
            [*LOAD, "9001.csv", *ASX],
            env=os.environ | home.environment | SMALL_BLOCKS | {"TERM": "xterm", "COLUMNS": "100"},
            cwd=k2.folder,
            stdout=theirs,
            stderr=theirs,
            stdin=theirs,
        )
    ) as process:
        os.close(theirs)
        shown = everything(ours)
        assert 0 == process.wait(PATIENCE_S)
    assert "━" in shown
    assert "sending" in shown
    assert "100%" in shown
    last = shown.split("\x1b[2K")[-1]
    assert loaded("9001.csv", 3000).match(last)
    assert 1 == last.count("\n")


def everything(terminal: int) -> str:
    """What is printed on a terminal until the other side closes it."""
    found = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # Linux says so when the last writer is gone.
            piece = b""
        if not piece:
            os.close(terminal)
            return found.decode()
        found += piece


def peak_bytes(k2, name: str) -> int:
    """Most memory that a load of a file held."""
    process = k2.process(name, *ASX, K2_LOAD_BLOCK_BYTES="262144", K2_LOG_SYNCHRONOUS="normal")
    with stopped(process):
        out, err = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        assert 0 == process.returncode, out + err
        return usage.ru_maxrss * 1024


def test_memory_does_not_grow_with_the_file(k2, home):
    """Twenty times the rows, and hardly more memory: a file is read and sent by the block."""
    _ = home.log
    k2.write("small.csv", asx_trades(20_000))
    k2.write("large.csv", asx_trades(36_000) * 11)
    size = (k2.folder / "large.csv").stat().st_size
    small, large = peak_bytes(k2, "small.csv"), peak_bytes(k2, "large.csv")
    assert large - small < size
    assert large - small < 40_000_000


# --- waiting


def test_wait_returns_once_the_lake_has_the_rows(k2, home):
    """With a worker at work; the counts by flag are the lake's."""
    _ = home.log
    k2.write("9001.csv", asx_trades(30) + asx_trades(5, date="03/11/2014"))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.2")):
        for counts in ("first 2, ok 33", "duplicate 35"):
            done = k2("9001.csv", *ASX, "--wait")
            assert 0 == done.status, done.err
            assert f"9001.csv: in the lake: {counts}\n" == done.out.splitlines(keepends=True)[-1]
            assert on_log_count(home) == sum(home.floors().values())


def test_wait_without_a_worker_ends_by_the_deadline(k2):
    """It says that none is running and how to start one; what was loaded is told all the same."""
    k2.write("9001.csv", asx_trades(3))
    done = k2("9001.csv", *ASX, "--wait", K2_LOAD_WAIT_S="0.3")
    assert 2 == done.status
    assert loaded("9001.csv", 3).match(done.out)
    assert "3 offsets of it are not in the lake: no worker is running; start one with `k2 worker`" in done.err
    assert 1 == len(done.err.splitlines())


def test_wait_with_a_worker_that_does_not_move_ends_by_the_deadline(k2, home):
    """One is running and commits nothing: the line sends to its log."""
    k2.write("9001.csv", asx_trades(3))
    with stopped(home.start(K2_FLUSH_INTERVAL_S="3000")) as worker:
        wait_until(lambda: worker_at_work(home), "a worker that holds the log")
        done = k2("9001.csv", *ASX, "--wait", K2_LOAD_WAIT_S="0.3")
    assert 2 == done.status
    assert (
        "a worker is running, but nothing was committed for 0.3 s (K2_LOAD_WAIT_S); see its log" in done.err
    )
    assert worker.returncode


def worker_at_work(home) -> bool:
    return WorkerLock(log_path(home.settings.log_url)).held_by_another()
