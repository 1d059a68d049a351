"""docker-compose.yml without an engine: Compose takes it, and its services work with the commands that it gives them.

Kafka, S3 server and K2 run natively with the variables and commands of the file; the registry is the same release with
its memory for storage, PostgreSQL that of the machine. Images, networks and volumes only an engine shows.
"""

import json
from contextlib import ExitStack

import pytest

from tests.pipeline.homes import wait_until
from tests.services import compose
from tests.services.compose_stack import FILE, answer, asked, stack

PROCESSES = ("worker-1", "worker-2", "web")

ROWS = """\
symbol,timestamp,price,quantity,side,conditions,sequence
BHP,2026-01-05T00:10:00.000000Z,45.10,100,BUY,,1
BHP,2026-01-05T00:10:00.250000Z,45.11,250,SELL,,2
CBA,2026-01-05T00:10:00.250000Z,151.2,40,SELL,,1
BHP,2026-01-05T00:10:01.000000Z,45.12,75,BUY,,6
"""


def test_compose_takes_the_file():
    """`docker compose config` finds nothing wrong, and sees what the other tests see."""
    checked = compose.run("--profile", "*", "config", "--quiet")
    assert (0, "") == (checked.returncode, checked.stderr)
    shown = json.loads(compose.run("--profile", "*", "config", "--format", "json").stdout)
    assert sorted(shown["services"]) == sorted(service.name for service in FILE.services)
    for service in FILE.services:
        found = shown["services"][service.name]
        assert service.memory_bytes == int(found["mem_limit"])
        assert service.environment == (found.get("environment") or {})
        assert {port["host_ip"] for port in found.get("ports", [])} <= {"127.0.0.1"}


def test_ports_may_be_changed():
    """What `deploy/compose.env.example` offers has an effect."""
    shown = json.loads(compose.run("config", "--format", "json", WEB_PORT="7000").stdout)
    assert ["7000"] == [port["published"] for port in shown["services"]["web"]["ports"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Everything that K2 stands on, and `k2 init` done."""
    with stack(tmp_path_factory.mktemp("compose")) as found:
        done = found.run("init")
        assert 0 == done.returncode, done.stderr
        assert "market.equities.trades.asx" in done.stdout
        yield found


def test_second_start_finds_everything(running):
    """`docker compose up` again: the jobs end well, and change nothing."""
    assert 0 == running.run("secrets").returncode
    again = running.run("init")
    assert 0 == again.returncode, again.stderr
    assert "everything is there already" in again.stdout


def test_what_is_loaded_is_answered(running, tmp_path):
    """The workers become ready and ingest a load, the web server answers it to who has a key, all end on SIGTERM."""
    file = tmp_path / "trades.csv"
    file.write_text(ROWS)
    people, metrics = (running.secret(name).read_text().strip() for name in ("api_key", "metrics_key"))
    with ExitStack() as started:
        processes = [started.enter_context(running.running(name)) for name in PROCESSES]
        for process in processes:
            wait_until(process.is_ready, f"{process.name} ready")
            assert 0 == process.health()
        web = processes[-1]
        trades = f"{web.url}/v1/trades?start=2026-01-05T00:00:00Z&end=2026-01-06T00:00:00Z"
        assert 401 == asked(trades)

        loaded = running.run("k2", "load", str(file), "--exchange", "asx", "--type", "trades")
        assert 0 == loaded.returncode, loaded.stderr
        wait_until(lambda: 4 == len(json.loads(answer(trades, people))["rows"]), "four trades")

        for process in processes:
            assert 401 == asked(f"{process.url}/metrics")
            assert b"k2_" in answer(f"{process.url}/metrics", metrics)
            assert process.peak_bytes < FILE.service(process.name).memory_bytes
        assert [0, 0, 0] == [process.stop() for process in processes]
    assert not any("Traceback" in process.output.read_text() for process in processes)
