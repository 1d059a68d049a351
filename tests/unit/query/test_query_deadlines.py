"""Time limits: one thread for all queries."""

from __future__ import annotations

import threading
import time

from k2app.query.reading.deadlines import Deadlines

PROMPT_S = 10.0
"""Seconds within which a thread is given its turn, on any machine."""


class Work:
    """Work with a limit, that notes its end."""

    def __init__(self, limit_s):
        self.due_s = time.monotonic() + limit_s
        self.expired = threading.Event()

    def left_s(self):
        return self.due_s - time.monotonic()

    def expire(self):
        self.expired.set()


def test_late_work_is_expired_and_other_work_is_not():
    """Whatever ended in time is not touched either."""
    deadlines = Deadlines(0.05)
    ended, kept = Work(0.05), Work(PROMPT_S * 10)
    with deadlines.watching(ended):
        pass
    with deadlines.watching(kept), deadlines.watching(late := Work(0.05)):
        assert late.expired.wait(PROMPT_S)
        with deadlines.watching(later := Work(0.05)):
            assert later.expired.wait(PROMPT_S)
    deadlines.close()
    assert not ended.expired.is_set()
    assert not kept.expired.is_set()


def test_work_that_takes_long_to_end_does_not_hold_up_others():
    """Each is expired on a thread of its own."""
    deadlines = Deadlines(0.05)
    stuck, free = Work(0.05), Work(0.05)
    begun, let_go = threading.Event(), threading.Event()

    def expire():
        begun.set()
        let_go.wait(PROMPT_S)

    stuck.expire = expire
    with deadlines.watching(stuck):
        assert begun.wait(PROMPT_S)
        free.due_s = time.monotonic()
        with deadlines.watching(free):
            assert free.expired.wait(PROMPT_S)
    let_go.set()
    deadlines.close()
