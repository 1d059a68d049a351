"""Traces: what a real collector sees of a worker, and of a load."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from k2app.settings import OtelSettings
from k2app.tracing import url
from tests.pipeline.collector import collecting
from tests.pipeline.homes import WORKER_S, counting, free_port, stopped, trades, wait_until
from tests.pipeline.load.commands import LOAD, asx_trades
from tests.pipeline.storm.disks import Printed
from tests.storm.storm import committed

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
"""Ids of the caller's trace and span."""


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


def test_worker_traces_flushes_and_queries(home, collector):
    """A flush with its steps, a query in its caller's trace, batches; log lines carry the ids."""
    port = free_port()
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port), "K2_FLUSH_INTERVAL_S": "0.2"}
    with stopped(home.start(**served, K2_OTEL_ENDPOINT=collector.endpoint)) as worker:
        printed = Printed(worker)
        home.publish(trades(counting(2, 10)))
        wait_until(lambda: committed(home) == 20, "rows in the lake")
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/trades?limit=5",
            headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - as above
            assert 5 == len(json.load(answer)["rows"])
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(WORKER_S)
        lines = [json.loads(line) for line in printed.finish().splitlines()]

    (request,) = collector.named("GET /v1/trades")
    assert (TRACE, CALLER) == (request.trace, request.parent)
    assert ("/v1/trades", 200) == tuple(
        request.attributes[name] for name in ("http.route", "http.response.status_code")
    )
    assert ["query trades"] == [span.name for span in collector.below(request)]

    flushes = collector.named("flush")
    assert {"trades"} == {span.attributes["k2.table"] for span in flushes}
    assert 20 == sum(span.attributes["k2.records"] for span in flushes)
    for flush in flushes:
        assert "" == flush.parent
        steps = [span.name for span in collector.below(flush)]
        assert ["write_files", "side_commit", "main_commit", "states"] == steps
    told = {(line["trace_id"], line["commit_id"]) for line in lines if line["event"] == "flushed"}
    assert {(span.trace, span.attributes["k2.commit_id"]) for span in flushes} == told
    batches = collector.named("batch")
    assert {"market.equities.trades.asx"} == {span.attributes["k2.topic"] for span in batches}
    assert 20 == sum(span.attributes["k2.records"] for span in batches)
    assert {"k2"} == {span.service for span in collector.spans}


def test_load_is_a_trace(home, collector, tmp_path):
    """By the name that the operator gave the service; the lines of its log carry its id."""
    _ = home.log
    file = tmp_path / "9001.csv"
    file.write_text(asx_trades(10))
    done = subprocess.run(
        [*LOAD, str(file), "--profile", "asx", "--type", "trades", "--symbol", "KTO"],
        env=os.environ
        | home.environment
        | {
            "K2_OTEL_ENDPOINT": collector.endpoint,
            "K2_OTEL_SERVICE_NAME": "loader",
            "K2_LOGS_LEVEL": "debug",
        },
        capture_output=True,
        text=True,
        timeout=WORKER_S,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    (load,) = collector.named("load")
    assert ("loader", "9001.csv") == (load.service, load.attributes["k2.file"])
    assert load.attributes["k2.load_id"] in done.stdout
    told = [json.loads(line) for line in done.stderr.splitlines() if '"load_id"' in line]
    assert {(load.attributes["k2.load_id"], load.trace)} == {
        (line["load_id"], line["trace_id"]) for line in told
    }


def test_sampled_out_traces_are_not_sent(home, collector):
    """K2_OTEL_SAMPLE_RATIO=0 keeps only what callers ask to be kept."""
    home.publish(trades(counting(2, 10)))
    home.drain(K2_OTEL_ENDPOINT=collector.endpoint, K2_OTEL_SAMPLE_RATIO="0")
    assert 20 == committed(home)
    assert [] == collector.spans


def test_collector_that_is_away_is_no_trouble(home):
    """Rows are committed, the worker ends in time, and says a few lines at most."""
    home.publish(trades(counting(2, 10)))
    printed = home.drain(K2_OTEL_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert 20 == committed(home)
    assert 5 > sum("opentelemetry" in line for line in printed.splitlines())


OFF = """
import sys
from k2app import tracing
from k2app.app import create_app
from k2app.settings import OtelSettings

tracing.start(OtelSettings())
with tracing.span("flush"), tracing.root_span("x"), tracing.request_span("GET", {}) as span:
    tracing.note(span, "GET /", {})
print([name for name in sys.modules if name.startswith("opentelemetry")], tracing.current_ids())
"""

MISSING = """
import sys

sys.modules["opentelemetry"] = None
from k2app import tracing
from k2app.settings import OtelSettings

tracing.start(OtelSettings(endpoint="http://localhost:4318"))
"""


FAILING = """
import sys
from k2app import tracing
from k2app.errors import OperatorError
from k2app.settings import OtelSettings

tracing.start(OtelSettings(endpoint=sys.argv[1]))
try:
    with tracing.span("outer"), tracing.span("inner"):
        raise OperatorError("http://bob:hunter2@host/cat does not answer")
except OperatorError as error:
    print(error)
tracing.stop()
"""

BESIDE = """
import opentelemetry.sdk.trace
from k2app import tracing
from k2app.settings import OtelSettings

tracing.start(OtelSettings())
with tracing.span("flush") as span:
    pass
tracing.stop()
print(tracing.is_on(), span, tracing.current_ids())
tracing.start(OtelSettings(endpoint="http://127.0.0.1:9"))
with tracing.span("flush"):
    print(tracing.is_on(), sorted(tracing.current_ids()))
"""

TWICE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
from k2app import tracing
from k2app.settings import OtelSettings

tracing.start(OtelSettings())
print(tracing.is_on())
tracing.stop()
tracing.start(OtelSettings(endpoint="http://127.0.0.1:9"))
"""


def ran(program: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WORKER_S, check=False)


def test_errors_are_traced_without_passwords(collector):
    """Type, text, traceback and status of each span that the error leaves; whoever caught it has it as it was."""
    assert "http://bob:hunter2@host/cat does not answer\n" == ran(FAILING, collector.endpoint).stdout
    assert {"outer", "inner"} == {span.name for span in collector.spans}
    for span in collector.spans:
        assert "hunter2" not in span.told
        for said in (
            "k2app.errors.OperatorError",
            "http://bob:***@host/cat",
            "STATUS_CODE_ERROR",
            "Traceback",
        ):
            assert said in span.told, said


def test_sdk_that_another_library_imports_is_not_ours():
    """Traces are on when K2 has begun them, whatever else is in the process; then they are ours."""
    done = ran(BESIDE)
    assert ["False None {}", "True ['span_id', 'trace_id']"] == done.stdout.splitlines(), done.stderr


def test_traces_that_something_else_began_are_refused():
    """OpenTelemetry takes one set-up per process: K2's spans would go nowhere, and nobody would know."""
    done = ran(TWICE)
    assert "False\n" == done.stdout
    assert "unset K2_OTEL_ENDPOINT" in done.stderr.splitlines()[-1]


def test_nothing_is_imported_while_it_is_off():
    """It costs nothing."""
    assert "[] {}\n" == ran(OFF).stdout


def test_missing_extra_is_named():
    """Who turns it on without the packages is told how to get them."""
    assert "pip install 'k2[otel]'" in ran(MISSING).stderr


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://collector/custom/path", "https://collector/custom/path"),
    ],
)
def test_endpoint_gets_the_usual_path(endpoint, expected):
    """One that has a path is left as it is."""
    assert expected == url(OtelSettings(endpoint=endpoint).endpoint)
