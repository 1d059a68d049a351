import json
import subprocess
import sys

import pytest

from tests.processes import WITHIN_S

SPEAK = """
import logging, sys
from k2app import logs
from k2app.settings import LogsSettings
import structlog

logs.configure(LogsSettings(format=sys.argv[1], level=sys.argv[2]))
logs.configure(LogsSettings(format=sys.argv[1], level=sys.argv[2]))
if sys.argv[3] == "faust":
    from mode.utils.logging import setup_logging
    settings = LogsSettings(format=sys.argv[1], level=sys.argv[2])
    setup_logging(loglevel="DEBUG", logging_config=logs.faust_config(settings))
with structlog.contextvars.bound_contextvars(request_id="r-1"):
    logs.get("k2app.lake").info("flushed", table="trades", rows=3)
logging.getLogger("faust.k2").warning("rebalance of %s", "partitions")
logging.getLogger("aiokafka.consumer").info("narrates")
logging.getLogger("other").debug("details")
try:
    raise ValueError("broken")
except ValueError:
    logs.get("k2app.web").exception("request failed")
print("a result")
"""


def lines(form, level="info", by="k2"):
    """Lines on standard error of a program that logs, which prints a result too."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, form, level, by],
        check=True,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert "a result\n" == done.stdout
    return done.stderr.splitlines()


@pytest.mark.parametrize("by", ["k2", "faust"])
def test_json_lines_of_all_have_one_form(by):
    """Ours, Faust's and aiokafka's lines: one object each, with time, level, logger and event; never twice."""
    ours, fausts, error = (json.loads(line) for line in lines("json", by=by))
    for line in (ours, fausts, error):
        assert {"timestamp", "level", "logger", "event"} <= set(line)
    assert ("flushed", "info", "k2app.lake", "trades", 3, "r-1") == tuple(
        ours[k] for k in ("event", "level", "logger", "table", "rows", "request_id")
    )
    assert ("rebalance of partitions", "warning", "faust.k2") == tuple(
        fausts[k] for k in ("event", "level", "logger")
    )
    assert "ValueError: broken" in error["exception"]
    assert "request_id" not in error


@pytest.mark.parametrize("by", ["k2", "faust"])
def test_console_lines_of_all_have_one_form(by):
    """Time, level, event, then names and values; a traceback follows its line; no colours in a pipe."""
    found = lines("console", by=by)
    assert any(
        "[info     ] flushed" in line and "rows=3" in line and "table=trades" in line for line in found
    )
    assert any("[warning  ] rebalance of partitions" in line for line in found)
    assert "ValueError: broken" == found[-1]
    assert "\x1b" not in "".join(found)


def test_level_is_the_least_severe_that_is_printed():
    """At level error, neither our stories nor others' warnings; at level debug, the libraries' too."""
    assert ["request failed"] == [json.loads(line)["event"] for line in lines("json", "error")]
    events = [json.loads(line)["event"] for line in lines("json", "debug")]
    assert {"narrates", "details", "flushed"} <= set(events)
