"""Threads for calls that may not come back: the end of the program does not wait for them for ever.

A call that waits for a network cannot be stopped, and Python waits for every thread before it ends: first when the
event loop is closed, then when the interpreter is. What such a thread has sent may still land; so it may after a kill,
and the next start finds out.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

THREADS = 32
"""Calls at once: each table flushes or restores, and calls that were given up may still hold theirs."""

NAME = "blocking"
"""What the threads' names begin with."""

STUCK = "stuck"
"""What the name of a thread begins with that somebody has given up waiting for."""

END_WITHIN_S = 5.0
"""Seconds that calls get to come back when the program ends: a request that goes well takes less."""

LOOK_EVERY_S = 0.02
"""Seconds between looks whether they have."""


class BlockingCalls(ThreadPoolExecutor):
    """Threads of an event loop (`loop.set_default_executor`), awaited for a while when it is closed."""

    def __init__(self) -> None:
        super().__init__(THREADS, thread_name_prefix=NAME)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin no further call; wait for those under way, but not for ever."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        deadline_s = time.monotonic() + END_WITHIN_S
        while wait and left_behind() and time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_S)


def left_behind() -> list[str]:
    """Names of threads whose call has not come back, once the event loop is closed."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith((NAME, STUCK))]


def leave(status: int) -> None:
    """End the process now if a call has not come back; return if all have."""
    if not left_behind():
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
