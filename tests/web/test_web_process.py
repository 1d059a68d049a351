"""`k2 web` as a process: the worker's answers without a worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from k2app.cli.web import serve
from k2app.errors import OperatorError
from k2app.settings import Settings, WebSettings
from tests.processes import stopped
from tests.query_lake import append, trade
from tests.web.live import free_port, live, small_lake
from web import Probe
from web.readiness import KEEP_S

ROWS = 20_000
"""Rows of an answer that no buffer between server and client holds."""

WAIT_S = 60.0
"""Deadline of whatever a process does: far above the seconds it takes."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("process")) as found:
        append(found[1], found[0], "trades", [trade(n, symbol="LOTS") for n in range(ROWS)])
        yield found


@contextmanager
def serving(home, *arguments, **environment):
    """A process; afterwards it is gone."""
    logs = {"K2_LOGS_FORMAT": "json", "K2_LOGS_LEVEL": "info"}
    process = subprocess.Popen(
        [sys.executable, "-m", "k2app.cli.k2", "web", *arguments],
        env=os.environ | {"K2_HOME": str(home)} | logs | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with stopped(process):
        yield process


def until(holds, within_s=WAIT_S):
    """Poll until something holds, or fail by the deadline."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(port, path="/health/ready"):
    """Whether somebody says 200 there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def files(home):
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def said(process, event):
    """Read what is printed up to a line of this event."""
    while f'"event": "{event}"' not in (line := process.stdout.readline()):
        assert line, "it ended without a word of it"


def test_it_answers_as_the_worker_does_and_ends_what_it_began(lake):
    """The same bytes, and nothing is written. Several share a port; one that is told to stop ends its answer first."""
    home, port = lake[0].home, free_port()
    arguments, patience = ("--port", str(port), "--reuse-port"), {"K2_WEB_IDLE_S": "120"}
    base = f"http://127.0.0.1:{port}"
    with live(lake) as beside, serving(home, *arguments, **patience) as first:
        until(lambda: answers(port))
        before = files(home)
        for path in ("/v1/trades?symbol=BHP", "/v1/symbols", "/v1/summary/BHP/2026-01-05"):
            assert beside.get(path).content == httpx.get(base + path).content
        assert (
            'k2_queries_total{outcome="answered",resource="symbols"} 1.0' in httpx.get(f"{base}/metrics").text
        )
        with httpx.stream("GET", f"{base}/v1/trades?symbol=LOTS&format=ndjson", timeout=WAIT_S) as answer:
            lines = answer.iter_lines()
            assert "start" == json.loads(next(lines))["control"]
            with serving(home, *arguments) as second:
                said(second, "serving")
                first.send_signal(signal.SIGTERM)
                said(first, "stopping")
                *rows, end = [json.loads(line) for line in lines]
                assert (ROWS, "end", ROWS) == (len(rows), end["control"], end["rows"])
                assert 0 == first.wait(WAIT_S)
                assert answers(port)
                second.send_signal(signal.SIGINT)
                assert 130 == second.wait(WAIT_S)
    assert before == files(home)


def test_a_port_that_is_taken_is_named(lake):
    """One line, and the ways out."""
    with (
        live(lake) as other,
        pytest.raises(OperatorError, match=f"127.0.0.1:{other.port} is taken by another"),
    ):
        serve(lake[0], other.port, reuse_port=False)


def test_a_public_address_without_keys_is_refused(lake):
    """Before anything listens."""
    public = lake[0].model_copy(update={"web": WebSettings(host="0.0.0.0")})  # noqa: S104 - refused
    with pytest.raises(OperatorError, match="k2 keys create"):
        serve(public, free_port(), reuse_port=False)


def test_without_a_lake_it_says_how_to_make_one(tmp_path):
    """Looking makes nothing."""
    with pytest.raises(OperatorError, match="k2 init"):
        serve(Settings(home=tmp_path / "home"), None, reuse_port=False)
    assert not (tmp_path / "home").exists()


async def test_readiness_asks_the_catalog_once_at_a_time():
    """However many probes wait or come soon after; what it says is the reason, and what it says later counts again."""
    asked, may_answer, now_s = [], threading.Event(), [0.0]

    def look():
        asked.append(1)
        assert may_answer.wait(WAIT_S)
        if len(asked) == 1:
            raise OperatorError("the lake has no table trades: run `k2 init`")

    ready = Probe("catalog", look, lambda: now_s[0])
    probes = [asyncio.ensure_future(ready()) for _ in range(5)]
    await asyncio.sleep(0)
    may_answer.set()
    assert ["the lake has no table trades: run `k2 init`"] * 5 == [await probe for probe in probes]
    now_s[0] = KEEP_S - 0.1
    assert "the lake has no table trades: run `k2 init`" == await ready()
    assert 1 == len(asked)
    now_s[0] = KEEP_S
    assert [None, None] == [await ready(), await ready()]
    assert 2 == len(asked)


async def test_what_went_wrong_in_a_look_is_no_answer():
    """A fault of the program is told each time, and the part is asked again."""
    asked = []

    def look():
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("a fault")

    ready = Probe("catalog", look, lambda: 0.0)
    with pytest.raises(ValueError, match="a fault"):
        await ready()
    assert await ready() is None


async def test_reasons_have_no_passwords():
    """Anybody may read them."""

    def look():
        raise OperatorError("http://bob:hunter2@host/cat does not answer")

    assert "http://bob:***@host/cat does not answer" == await Probe("catalog", look)()
