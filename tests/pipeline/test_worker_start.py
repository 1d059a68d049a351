"""A worker that is started before what it stands on."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest

from k2app.operate.key_file import key_file
from k2app.operate.keys import Scope, new_key
from tests.pipeline.health import checks, live, metrics, ready
from tests.pipeline.homes import WORKER_S, Home, counting, free_port, stopped, trades, wait_until
from tests.pipeline.registry_server import registry_at
from tests.pipeline.storm.disks import Printed
from tests.storm.storm import committed


@pytest.fixture
def registry_port():
    return free_port()


@pytest.fixture
def web_port():
    return free_port()


def waiting_worker(home: Home, registry_port: int, web_port: int, **environment: str):
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(web_port), "K2_FLUSH_INTERVAL_S": "0.2"}
    at = {"K2_REGISTRY_URL": f"http://127.0.0.1:{registry_port}"}
    return home.start(**served, **at, **environment)


def events(printed: str, name: str) -> list[dict]:
    lines = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == name]


def test_worker_waits_for_what_is_away(home, registry_port, web_port):
    """It lives, is not ready, and says why; once the registry is there it starts, and nobody had to do anything."""
    home.publish(trades(counting(2, 10)))
    with stopped(waiting_worker(home, registry_port, web_port)) as worker:
        printed = Printed(worker)
        wait_until(lambda: "start" in checks(web_port), "a worker that says what it waits for")
        status, body = ready(web_port)
        assert 503 == status
        assert "the schema registry http://127.0.0.1" in body["checks"]["start"]
        assert body["reasons"] == [f"start: {body['checks']['start']}"]
        assert 200 == live(web_port)[0]
        with registry_at(home, registry_port):
            wait_until(lambda: committed(home) == 20, "rows in the lake")
            wait_until(lambda: ready(web_port)[0] == 200, "a ready worker")
            parts = {*("log", "trades", "quotes", "reference_data", "recovery"), *("commits", "disk")}
            assert dict.fromkeys([*parts, "catalog", "warehouse", "registry"], "ok") == checks(web_port)
            assert {} == ready(web_port)[1]["warnings"]
        # Its schemas are known: it needs the registry for new ones only.
        wait_until(lambda: "registry" in ready(web_port)[1]["warnings"], "a warning of the registry")
        assert 200 == ready(web_port)[0]
        home.publish(trades(counting(2, 10, first=11)))
        wait_until(lambda: committed(home) == 40, "more rows in the lake")
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(WORKER_S)
        text = printed.finish()
    (waiting,) = events(text, "waiting")
    assert ("start", "warning") == (waiting["part"], waiting["level"])
    assert 1 == len(events(text, "goes_on"))


def test_worker_that_waits_is_seen_by_prometheus(home, registry_port, web_port):
    """Which worker it is and that it waits, nothing that one at work counts; then those come, and it waits no more."""
    _ = home.log
    with stopped(waiting_worker(home, registry_port, web_port)) as worker:
        _ = Printed(worker)
        wait_until(lambda: "start" in checks(web_port), "a worker that waits")
        status, text = metrics(web_port)
        assert 200 == status
        assert {"k2_ready 0.0", 'k2_waiting{part="start"} 1.0'} <= set(text.splitlines())
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE k2_")}
        of_process = {"k2_build_info", "k2_clock_timestamp_seconds", "k2_ready"}
        assert of_process | {"k2_memory_used_bytes", "k2_memory_limit_bytes", "k2_waiting"} == names
        with registry_at(home, registry_port):
            wait_until(lambda: ready(web_port)[0] == 200, "a ready worker")
            wait_until(lambda: "k2_ready 1.0" in metrics(web_port)[1], "metrics of a ready worker")
            text = metrics(web_port)[1]
            assert 'part="start"' not in text
            assert "k2_commits_total" in text


def test_metrics_of_a_worker_that_waits_need_the_same_key(home, registry_port, web_port):
    """Health checks are open to all, as they will be; Prometheus needs its key, as it will."""
    _ = home.log
    made = new_key("prometheus", [Scope.READ], None, None, datetime.now(UTC))
    key_file(home.settings).add(made.key)
    with stopped(waiting_worker(home, registry_port, web_port)) as worker:
        _ = Printed(worker)
        wait_until(lambda: "start" in checks(web_port), "a worker that waits")
        status, text = metrics(web_port)
        assert (401, "unauthorized") == (status, json.loads(text)["type"].rpartition(":")[2])
        assert 200 == metrics(web_port, made.text)[0]


def test_signal_ends_the_wait(home, registry_port, web_port):
    """A worker that waits has nothing to finish."""
    _ = home.log
    with stopped(waiting_worker(home, registry_port, web_port)) as worker:
        _ = Printed(worker)
        wait_until(lambda: "start" in checks(web_port), "a worker that waits")
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(WORKER_S)


def test_signal_ends_the_wait_for_what_hangs(home, web_port):
    """Also while something has been asked that never answers, and is given minutes to."""
    _ = home.log
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        with stopped(waiting_worker(home, port, web_port, K2_REGISTRY_TIMEOUT_S="300")) as worker:
            _ = Printed(worker)
            wait_until(lambda: "start" in checks(web_port), "a worker that waits")
            worker.send_signal(signal.SIGINT)
            assert 130 == worker.wait(WORKER_S)


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "hangs"])
def test_wait_has_an_end(home, registry_port, web_port, hangs):
    """After K2_START_WITHIN_S the worker ends with the reason, and the status that says: later."""
    _ = home.log
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1] if hangs else registry_port
        limits = {"K2_START_WITHIN_S": "1", "K2_REGISTRY_TIMEOUT_S": "300"}
        with stopped(waiting_worker(home, port, web_port, **limits)) as worker:
            printed, _ = worker.communicate(timeout=WORKER_S)
    assert 1 == worker.returncode
    assert "schema registry" in printed.splitlines()[-1]
    assert "Traceback" not in printed


def test_commands_fail_at_once(home, registry_port):
    """Who types a command sees what is wrong, and does not wait for it."""
    _ = home.log
    done = subprocess.run(
        [sys.executable, "-m", "k2app.cli.k2", "init"],
        env=os.environ | home.environment | {"K2_REGISTRY_URL": f"http://127.0.0.1:{registry_port}"},
        capture_output=True,
        text=True,
        timeout=WORKER_S,
        check=False,
    )
    assert 1 == done.returncode
    assert done.stderr.startswith("k2: the schema registry")


def test_port_that_is_taken_ends_the_wait(home, registry_port):
    """Nobody could ask how the start goes."""
    _ = home.log
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with stopped(waiting_worker(home, registry_port, port)) as worker:
            printed, _ = worker.communicate(timeout=WORKER_S)
    assert 2 == worker.returncode
    assert f"127.0.0.1:{port} is taken by another program" in printed
