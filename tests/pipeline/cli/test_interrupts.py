"""Ctrl-C in the middle of a command: one line, the shell's status, and the next start goes on from there."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from k2app.lake.tables import Name
from tests.pipeline.homes import counting, stopped, trades, wait_until
from tests.pipeline.operate.commands import k2

ROWS = 3_000

ENDS_WITHIN_S = 30.0
"""Far above the second that it takes: only a command that waits for its end meets it."""


@pytest.mark.parametrize(
    ("command", "reached"),
    [
        ("k2 init", lambda home: (home.path / "log.db").exists()),
        ("k2 rebuild-state", lambda home: home.marked()),
        ("k2 trim --keep-hours 0", lambda home: home.marked()),
        ("k2 worker", lambda home: home.marked("flush-started")),
    ],
)
def test_ctrl_c_is_one_line_and_the_next_start_goes_on(home, programs, command, reached):
    """No traceback, nothing half-done: the same command, and a worker, finish what was begun."""
    home.trace = home.path / "trace"
    home.marked = lambda point="": not point or (home.trace.exists() and point in home.trace.read_text())
    if command != "k2 init":
        home.publish(trades(counting(3, ROWS // 3)))
        if command != "k2 worker":
            home.drain()
    held = write_lock(home) if "trim" in command else contextlib.ExitStack()
    with stopped(
        subprocess.Popen(
            [programs / "k2", *command.split()[1:]],
            env=os.environ
            | home.environment
            | {"K2_FAULT_TRACE": str(home.trace), "K2_FLUSH_INTERVAL_S": "0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    ) as process:
        with held:
            wait_until(lambda: in_command(process) and reached(home), "the middle of the command")
            process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        printed, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < ENDS_WITHIN_S
    assert 130 == process.returncode, printed
    assert "Traceback" not in printed
    assert re.match("k2: interrupted", printed.splitlines()[-1])
    if command != "k2 worker":
        k2(home, *command.split()[1:])
    home.drain()
    rows = home.rows(Name.TRADES)
    assert (0 if command == "k2 init" else ROWS) == len(rows)
    assert {"first", "ok"} >= {row["sequence_flag"] for row in rows}


def write_lock(home) -> contextlib.ExitStack:
    """Hold the log: a command that changes it, however quick, waits in its middle until the end of the block."""
    stack = contextlib.ExitStack()
    log = stack.enter_context(contextlib.closing(sqlite3.connect(home.path / "log.db", isolation_level=None)))
    log.execute("begin immediate")
    stack.callback(log.execute, "rollback")
    return stack


def in_command(process):
    """Whether it has imported what it needs and opened the log."""
    assert process.poll() is None, "it ended before the signal"
    return any(name_of(file) == "log.db" for file in Path(f"/proc/{process.pid}/fd").iterdir())


def name_of(descriptor):
    """Name of the file behind a descriptor of a process; empty: it was closed meanwhile."""
    try:
        return descriptor.readlink().name
    except FileNotFoundError:
        return ""
