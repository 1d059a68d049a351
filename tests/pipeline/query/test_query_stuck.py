"""Queries that wait for a network, which nothing interrupts: whoever asked is answered in time."""

import threading
import time

import pytest

from k2app.blocking import left_behind
from k2app.errors import TransientError
from k2app.query.reading import pool as pools
from k2app.query.reading.pool import Pool, QueryTimeoutError
from k2app.settings import QuerySettings

PROMPT_S = 30.0
"""Deadline of what takes some seconds."""


@pytest.fixture
def network():
    """Set: it answers."""
    return threading.Event()


@pytest.fixture
def pool(tmp_path, network):
    found = Pool(QuerySettings(timeout_s=0.2, concurrent=2, streams=1), str(tmp_path))
    yield found
    network.set()
    found.close()


def test_query_that_cannot_be_interrupted_is_answered(pool, network):
    """Its thread waits on; the answer does not."""
    stuck = pool.submit(lambda _: network.wait(PROMPT_S))
    with pytest.raises(TransientError, match="does not answer") as refused:
        stuck.future.result(PROMPT_S)
    assert not isinstance(refused.value, QueryTimeoutError)
    assert not stuck.thread.done()
    assert 1 == pool.submit(lambda _: 1).future.result(PROMPT_S)


def test_no_thread_left_is_told_at_once(pool, network):
    """What waits for a thread is answered with those that hold them; what comes then, at once; later, all is well."""
    stuck = [pool.submit(lambda _: network.wait(PROMPT_S)) for _ in range(2)]
    waiting = pool.submit(lambda _: 1)
    for one in (*stuck, waiting):
        with pytest.raises(TransientError, match="does not answer"):
            one.future.result(PROMPT_S)
    with pytest.raises(TransientError, match="does not answer"):
        pool.submit(lambda _: 1)
    network.set()
    for one in stuck:
        one.thread.result(PROMPT_S)
    deadline_s = time.monotonic() + PROMPT_S
    while True:
        try:
            assert 1 == pool.submit(lambda _: 1).future.result(PROMPT_S)
        except TransientError:
            assert time.monotonic() < deadline_s
        else:
            break


def test_program_does_not_wait_for_them_for_ever(tmp_path, network, monkeypatch):
    """Closing gives up; the thread is left behind."""
    monkeypatch.setattr(pools, "CLOSE_WITHIN_S", 0.1)
    pool = Pool(QuerySettings(timeout_s=0.2), str(tmp_path))
    stuck = pool.submit(lambda _: network.wait(PROMPT_S))
    pool.close()
    assert not stuck.thread.done()
    network.set()


def test_program_does_not_wait_for_what_an_interrupted_close_leaves(tmp_path, network, monkeypatch):
    """Ctrl-C a second time: the thread is among those that the end of the program gives up on, until it ends."""

    def interrupted(*_):
        raise KeyboardInterrupt

    begun = threading.Event()
    pool = Pool(QuerySettings(), str(tmp_path))
    running = pool.submit(lambda _: begun.set() or network.wait(PROMPT_S), stream=True)
    assert begun.wait(PROMPT_S)
    assert [] == streams_left_behind()
    monkeypatch.setattr(pools, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.close()
    assert ["stuck-streams_0"] == streams_left_behind()
    network.set()
    running.thread.result(PROMPT_S)
    assert [] == streams_left_behind()


def streams_left_behind():
    """Other tests may have left queries."""
    return [name for name in left_behind() if "streams" in name]
