"""What a worker writes into its log: ids through every line, figures, no secrets, no storms."""

import json
import signal
import urllib.request

from tests.pipeline.homes import WORKER_S, counting, free_port, stopped, trades, wait_until
from tests.pipeline.registry_server import registry_at
from tests.pipeline.storm.disks import Printed, scarce_worker
from tests.pipeline.storm.disks import free as give_space
from tests.storm.storm import committed

SECRET = "hunter2-secret"  # noqa: S105 - made up, to be looked for

PAYLOAD = "SECRETPAYLOAD"


def lines_of(printed: str) -> list[dict]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def named(lines: list[dict], event: str) -> list[dict]:
    return [line for line in lines if line["event"] == event]


def test_line_of_a_flush_has_the_figures(home):
    """Rows, files, bytes, the seconds of each step, what the log still has; one line each, and its commit id."""
    home.publish(trades(counting(2, 10)))
    home.publish_raw([(b"S1", b"not avro")])
    (line,) = named(lines_of(home.drain()), "flushed")
    assert ("trades", 20, 1, 0) == tuple(line[k] for k in ("table", "rows", "dead_letters", "lag_records"))
    assert 2 == line["files"]
    assert line["bytes"] > 1_000
    assert {"write_files", "side_commit", "main_commit", "states"} == set(line["steps"])
    assert sum(line["steps"].values()) <= line["seconds"] + 0.01
    (snapshot,) = home.table("trades").snapshots()
    assert line["commit_id"] == snapshot.summary["k2.commit-id"]


def test_lines_of_a_flush_share_its_commit_id(home):
    """What is said on its threads, too, by the retries of a commit; and what is said of a flush that failed."""
    home.publish(trades(counting(2, 10)))
    full = ["flush-started", "gaps-committed"]
    with scarce_worker(home, full, K2_FLUSH_INTERVAL_S="0.2") as (worker, printed):
        wait_until(lambda: "standing_down" in printed.since(0), "a flush that failed")
        give_space(worker.pid)
        wait_until(lambda: "retry_scheduled" in printed.since(0), "a commit that is tried again")
        give_space(worker.pid)
        wait_until(lambda: '"flushed"' in printed.since(0), "rows in the lake")
        lines = lines_of(printed.since(0))
    failed, flushed = named(lines, "standing_down")[0], named(lines, "flushed")[0]
    assert [flushed["commit_id"]] == [line["commit_id"] for line in named(lines, "stamina.retry_scheduled")][
        :1
    ]
    assert failed["commit_id"] not in {"", flushed["commit_id"]}


def test_no_secrets_and_no_payloads_in_any_line(home):
    """Not even at level debug, while everything fails that has a password in its address."""
    port, web_port = free_port(), free_port()
    _ = home.log
    secrets = {
        "K2_REGISTRY_URL": f"http://somebody:{SECRET}@127.0.0.1:{port}",
        "K2_S3_SECRET_ACCESS_KEY": SECRET,
        "K2_KAFKA_PASSWORD": SECRET,
        "K2_LAKE_TOKEN": SECRET,
    }
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(web_port), "K2_FLUSH_INTERVAL_S": "0.2"}
    home.publish(trades(counting(2, 10)))
    home.publish_raw([(b"S1", PAYLOAD.encode())])
    home.publish_raw([(PAYLOAD.encode(), b"\x00\x00\x00\x00\x63" + PAYLOAD.encode())])
    with stopped(home.start(**served, **secrets, K2_LOGS_LEVEL="debug")) as worker:
        printed = Printed(worker)
        wait_until(lambda: '"waiting"' in printed.since(0), "a worker that waits for the registry")
        with registry_at(home, port):
            wait_until(lambda: committed(home) == 22, "rows in the lake")
            asked = f"http://127.0.0.1:{web_port}/v1/dead-letters?limit=5"
            urllib.request.urlopen(asked, timeout=30).close()
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(WORKER_S)
        text = printed.finish()
    assert "flushed" in text
    assert SECRET not in text
    assert PAYLOAD not in text


def test_storm_of_dead_letters_is_a_line_per_flush(home):
    """However many batches have something that cannot be read."""
    _ = home.log
    for n in range(12):
        home.publish_raw([(b"S1", b"not avro %d" % n)], partition=n % 2)
    lines = lines_of(home.drain(K2_LOG_FETCH_ROWS="1"))
    assert 12 == sum(line["dead_letters"] for line in named(lines, "flushed"))
    assert len(lines) < 12


def test_registry_that_fails_is_not_a_line_per_batch(home):
    """A message that names an unknown schema waits; it is said once, and now and then."""
    port, web_port = free_port(), free_port()
    _ = home.log
    at = {"K2_REGISTRY_URL": f"http://127.0.0.1:{port}", "K2_FLUSH_INTERVAL_S": "0.2"}
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(web_port)}
    with registry_at(home, port):
        worker = home.start(**at, **served)
        started = Printed(worker)
        wait_until(lambda: ready_at(web_port), "a ready worker")
    with stopped(worker):
        for n in range(20):
            home.publish_raw([(b"S1", b"\x00\x00\x00\x00\x63%d" % n)], partition=n % 2)
        wait_until(lambda: reads(web_port, "k2_waiting", 1.0, part="trades"), "an ingest that waits")
        with registry_at(home, port):
            wait_until(
                lambda: committed(home) == 20, "dead letters, once the registry says that it knows none"
            )
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(WORKER_S)
        lines = lines_of(started.finish())
    assert [] != [
        line for line in lines if "schema registry" in str(line.get("error", line.get("reason", "")))
    ]
    assert 20 > len([line for line in lines if line["level"] == "warning"])


def ready_at(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def reads(port: int, metric: str, value: float, **labels: str) -> bool:
    """Whether a metric has a value."""
    shown = ",".join(f'{name}="{label}"' for name, label in labels.items())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return f"{metric}{{{shown}}} {value}" in answer.read().decode()
