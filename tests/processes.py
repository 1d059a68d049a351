"""Processes and threads of tests: none outlives its test, and nobody waits for one for ever."""

import subprocess
from contextlib import contextmanager, suppress
from threading import Thread, Timer

WITHIN_S = 300.0
"""Deadline of whatever a test waits for: far above the seconds it takes, and below the limit of a test as a whole."""


@contextmanager
def stopped(process: subprocess.Popen, within_s: float = WITHIN_S):
    """Make sure that a process has ended afterwards; by the deadline at the latest, so that every read of it ends."""
    deadline = Timer(within_s, process.kill)
    deadline.daemon = True
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.wait(WITHIN_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was not taken, nobody takes any more
                    pipe.close()


def ended(*threads: Thread) -> None:
    """Wait for the end of threads, or fail by the deadline. Let them be daemons: the end of Python waits for others."""
    for thread in threads:
        thread.join(WITHIN_S)
        assert not thread.is_alive(), f"not within {WITHIN_S} s: the end of {thread.name}"
