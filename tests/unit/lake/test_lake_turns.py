"""Turns of writers: one at a time, of threads and of processes, and nobody is held up for good."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from k2app.lake.turns import Turns
from tests.processes import stopped

PATIENT_S = 60.0
"""A wait that no test is to see the end of."""

HOLDER = """
import sys
from k2app.lake.turns import Turns
with Turns(sys.argv[1]).at("gaps"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path / 'catalog.db'}?timeout=5"


@contextmanager
def another_process(uri):
    """A process that has the turn at the gaps until it is told to end, or killed."""
    command = [sys.executable, "-c", HOLDER, uri]
    with stopped(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ) as process:
        assert "held\n" == process.stdout.readline()
        yield process


def taking(turns, table="gaps"):
    """A thread that takes a turn; the event says that it has it."""
    has = threading.Event()

    def take():
        with turns.at(table):
            has.set()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread, has


@pytest.mark.parametrize("uri", ["postgresql://db/k2", "https://rest", "sqlite://"])
def test_writers_of_a_process_take_turns_at_any_catalog(uri):
    """At each table by itself."""
    turns = Turns(uri, PATIENT_S)
    with turns.at("gaps"):
        thread, has = taking(turns)
        with turns.at("trades"):
            assert not has.wait(0.05)
    thread.join(PATIENT_S)
    assert has.is_set()


def test_processes_take_turns_at_a_catalog_that_is_a_file(uri):
    """The next one begins when the one before has ended, however it ended."""
    for end in (
        lambda process: process.communicate("\n"),
        lambda process: process.send_signal(signal.SIGKILL),
    ):
        with another_process(uri) as process:
            thread, has = taking(Turns(uri, PATIENT_S))
            assert not has.wait(0.05)
            end(process)
            thread.join(PATIENT_S)
            assert has.is_set()


def test_turn_of_a_process_that_is_stopped_is_done_without(uri):
    """The others go on, a little later each time."""
    with another_process(uri) as process:
        process.send_signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        with Turns(uri, wait_s=0.1).at("gaps"):
            assert time.monotonic() - begun_s >= 0.1


def test_turn_in_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    """It would only have saved attempts."""
    with Turns(f"sqlite:///{tmp_path / 'nowhere' / 'catalog.db'}", PATIENT_S).at("gaps"):
        assert [] == [*tmp_path.iterdir()]
