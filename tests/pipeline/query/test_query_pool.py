"""Limits: time, memory, places, and what DuckDB may reach."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from queue import Queue

import duckdb
import pytest

from k2app.errors import K2Error, OperatorError
from k2app.query.answers.result_text import to_json
from k2app.query.engine import TRADES_QUERY
from k2app.query.queries import STATS_QUERY
from k2app.query.reading.pool import (
    QUEUED_PER_THREAD,
    Busy,
    Pool,
    QueryCancelledError,
    QueryTimeoutError,
    TooBusyError,
)
from k2app.query.requests import RowsRequest, StatsRequest
from k2app.settings import QuerySettings
from tests.pipeline.homes import wait_until
from tests.processes import WITHIN_S
from tests.query_lake import trade

ENDLESS = "SELECT count(*) FROM range(100000000000) AS a(x), range(1000) AS b(y) WHERE x * y % 7 = 3"
"""Years of work, whatever the machine."""

PROMPT_S = 5.0
"""Seconds within which a stopped query must have ended: far more than it takes, far less than ENDLESS."""


def pool_of(tmp_path, **limits):
    return Pool(QuerySettings(**limits), str(tmp_path))


def endless(session):
    return session.fetch(ENDLESS, {})


def test_a_query_beyond_its_time_is_stopped(tmp_path):
    """The error names the limit, and DuckDB really stops: its thread answers the next query."""
    pool = pool_of(tmp_path, timeout_s=0.2, concurrent=1)
    begun = time.monotonic()
    with pytest.raises(QueryTimeoutError, match="K2_QUERY_TIMEOUT_S") as caught:
        pool.submit(endless).future.result(PROMPT_S)
    assert 0.2 == caught.value.retry_after_s
    assert 1 == pool.submit(lambda session: session.fetch("SELECT 1 AS n", {})["n"][0].as_py()).future.result(
        PROMPT_S
    )
    assert PROMPT_S > time.monotonic() - begun
    pool.close()


def test_the_time_limit_holds_outside_duckdb_too(tmp_path):
    """Planning and writing text count: the next step is refused."""
    pool = pool_of(tmp_path, timeout_s=0.1)

    def slow(session):
        late = threading.Event()
        while not late.wait(0.01):
            session.check()

    with pytest.raises(QueryTimeoutError):
        pool.submit(slow).future.result(PROMPT_S)
    pool.close()


def test_a_cancelled_query_stops(tmp_path):
    """Nobody waits for it: its thread is free again."""
    pool = pool_of(tmp_path, concurrent=1)
    started = threading.Event()

    def work(session):
        started.set()
        return endless(session)

    running = pool.submit(work)
    assert started.wait(PROMPT_S)
    running.cancel()
    with pytest.raises(QueryCancelledError):
        running.future.result(PROMPT_S)
    pool.close()


def test_a_query_cancelled_while_it_waits_never_runs(tmp_path):
    """Its place goes to another."""
    pool = pool_of(tmp_path, concurrent=1)
    first, ran = pool.submit(endless), []
    waiting = pool.submit(ran.append)
    waiting.cancel()
    first.cancel()
    assert waiting.future.cancelled()
    pool.close()
    assert [] == ran


def test_ctrl_c_while_a_query_is_handed_in_stops_it(engine, monkeypatch):
    """It may run before whoever asks has it in hand: DuckDB is never closed under it."""
    sessions, ends = Queue(), Queue()

    def read(reader, _request):
        sessions.put(reader.session)
        try:
            return endless(reader.session)
        except K2Error as end:
            ends.put(end)
            raise

    def interrupted(*work):
        hand_over(*work)
        # What is handed over has begun: the worst moment.
        begun.append(sessions.get(timeout=WITHIN_S))
        raise KeyboardInterrupt

    begun = []
    threads = engine._pool._queries._threads
    hand_over = threads.submit
    monkeypatch.setattr(threads, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.answer(replace(STATS_QUERY, read=read), StatsRequest())
    try:
        assert isinstance(ends.get(timeout=WITHIN_S), QueryCancelledError)
        wait_until(lambda: Busy(running=0, queued=0, streams=0) == engine.busy(), "nothing runs")
    finally:
        begun[0].stop(QueryCancelledError("the test is over"))


def test_who_is_interrupted_stops_nobody_else(tmp_path):
    """Ctrl-C reaches one thread: what others have handed in goes on."""
    pool = pool_of(tmp_path)
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(pool.submit, endless).result(WITHIN_S)
    ours = pool.submit(endless)
    with pytest.raises(KeyboardInterrupt), pool.interruptible():
        raise KeyboardInterrupt
    # It may not have begun: then it never does.
    with pytest.raises((CancelledError, QueryCancelledError)):
        ours.future.result(WITHIN_S)
    assert not theirs.future.done()
    theirs.cancel()
    pool.close()


def test_too_many_waiting_queries_are_turned_away(tmp_path):
    """One runs, as many wait as may, the next is told to come back; places come free again."""
    pool = pool_of(tmp_path, concurrent=1)
    taken = [pool.submit(endless) for _ in range(1 + QUEUED_PER_THREAD)]
    with pytest.raises(TooBusyError, match=f"{QUEUED_PER_THREAD} queries wait"):
        pool.submit(endless)
    for running in taken:
        running.cancel()
    for running in taken:
        with pytest.raises(BaseException):  # noqa: B017, PT011 - cancelled before or while it ran
            running.future.result(PROMPT_S)
    assert 1 == pool.submit(lambda session: session.fetch("SELECT 1", {}).num_rows).future.result(PROMPT_S)
    pool.close()


def test_memory_beyond_the_limit_is_explained(tmp_path):
    """The message names the setting."""
    pool = pool_of(tmp_path, memory_limit="20MB")
    sql = "SELECT list(x::VARCHAR || 'some text') FROM range(10000000) AS r(x)"
    with pytest.raises(OperatorError, match="K2_QUERY_MEMORY_LIMIT"):
        pool.submit(lambda session: session.fetch(sql, {})).future.result(60)
    pool.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_text('{root}/../outside')",
        "COPY (SELECT 1) TO '/tmp/k2-written'",
        "ATTACH '/tmp/k2-attached.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
    ],
)
def test_duckdb_reaches_nothing_but_the_warehouse(tmp_path, sql):
    """Even a statement of its own could not read, write, load or unlock."""
    (tmp_path / "outside").write_text("secret")
    root = tmp_path / "warehouse"
    root.mkdir()
    (root / "inside").write_text("rows")
    pool = pool_of(root)
    read = pool.submit(
        lambda session: session.fetch("SELECT content FROM read_text($f)", {"f": str(root / "inside")})
    )
    assert "rows" == read.future.result(WITHIN_S)["content"][0].as_py()
    with pytest.raises(duckdb.Error, match=r"(?i)permission|disabled|locked"):
        pool.submit(lambda session: session.fetch(sql.format(root=root), {})).future.result(WITHIN_S)
    pool.close()


def test_a_setting_that_duckdb_refuses_is_explained(tmp_path):
    """Names value and reason."""
    with pytest.raises(OperatorError, match="memory_limit = 'much'"):
        pool_of(tmp_path, memory_limit="much")


def test_queries_at_once_do_not_disturb_each_other(put, engine):
    """One catalog, one DuckDB, several threads: the same bytes each time."""
    for part in range(3):
        put("trades", [trade(10 * part + n, symbol=("BHP", "RIO")[n % 2]) for n in range(10)])
    expected = {symbol: to_json(engine.trades(RowsRequest(symbol=symbol))) for symbol in ("BHP", "RIO")}
    request = {symbol: RowsRequest(symbol=symbol) for symbol in expected}
    running = [
        (symbol, engine.submit(TRADES_QUERY, request[symbol], to_json)) for symbol in ("BHP", "RIO") * 8
    ]
    for symbol, asked in running:
        assert expected[symbol] == asked.future.result(PROMPT_S)


OTHER_PROCESS = """
import sys
from pathlib import Path
from k2app.lake.catalog import open_catalog
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.requests import RowsRequest
from k2app.query.answers.result_text import to_json
from k2app.settings import Settings
settings = Settings(home=Path(sys.argv[1]))
catalog = open_catalog(settings)
engine = QueryEngine(settings, catalog, exchanges.load())
sys.stdout.buffer.write(to_json(engine.trades(RowsRequest(limit=7, symbol=("RIO", "BHP")))))
engine.close()
catalog.close()
"""


def test_two_processes_give_the_same_bytes(put, engine, settings):
    """Rows, cursor and warnings follow from the snapshot alone."""
    rows = [
        trade(n, micros=n % 4, symbol=("BHP", "RIO")[n % 2], attributes=[("b", "1"), ("a", "2")])
        for n in range(20)
    ]
    put("trades", rows)
    here = to_json(engine.trades(RowsRequest(limit=7, symbol=("RIO", "BHP"))))
    command = [sys.executable, "-c", OTHER_PROCESS, str(settings.home)]
    there = subprocess.run(command, capture_output=True, check=True, timeout=WITHIN_S)
    assert here == there.stdout
