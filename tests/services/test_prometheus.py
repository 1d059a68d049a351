"""A real Prometheus on a running worker: every expression of dashboards and rules gives something."""

import math
import re
import time

import pytest

from tests.pipeline.homes import wait_until
from tests.services.monitored import monitored
from tests.services.prometheus_server import configuration, prometheus
from tests.unit.deploy import monitoring
from tests.unit.deploy.promql import COMPARISON

WITHIN_S = 240.0
"""Deadline until everything has given something: far above the half minute it takes."""

VARIABLES = {"$instance": ".+", "$__rate_interval": "15s"}
"""What Grafana puts in for scrapes of a second."""


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """A worker and a web server, and Prometheus over both."""
    folder = tmp_path_factory.mktemp("prometheus")
    with monitored(folder) as site:
        key = site.key("reader")
        targets = {
            "k2-worker": (f"127.0.0.1:{site.worker_port}", key),
            "k2-web": (f"127.0.0.1:{site.web_port}", key),
        }
        with prometheus(folder / "prometheus", configuration(targets)) as server:
            yield site, server


def asked() -> dict[str, str]:
    """Every expression, by where it stands; of an alert the side that is compared."""
    found = {
        f"{panel.name} #{number}": expression
        for panel in monitoring.panels()
        for number, expression in enumerate(panel.expressions)
    }
    found |= monitoring.recordings()
    for name, rule in monitoring.alerts().items():
        found[name] = COMPARISON.fullmatch(rule["expr"])["left"]
    return {name: filled(expression) for name, expression in found.items()}


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def test_every_expression_gives_something(observed):
    """While data comes in and questions are asked; and none is wrong."""
    site, server = observed
    outstanding, deadline = asked(), time.monotonic() + WITHIN_S
    while outstanding and time.monotonic() < deadline:
        site.traffic()
        outstanding = {name: text for name, text in outstanding.items() if not gives(server.ask(text))}
    assert {} == outstanding


def test_both_jobs_are_scraped_and_all_rules_evaluated(observed):
    """With the key that the configuration names; no rule has failed."""
    _, server = observed
    wait_until(lambda: {"k2-worker": "up", "k2-web": "up"} == server.targets(), "both are scraped", WITHIN_S)
    wait_until(
        lambda: "unknown" not in {rule["health"] for rule in server.rules()},
        "all rules are evaluated",
        WITHIN_S,
    )
    assert [] == [rule for rule in server.rules() if rule["health"] != "ok"]
    assert len(monitoring.alerts()) + len(monitoring.recordings()) == len(server.rules())


def test_alert_says_what_is_wrong(observed):
    """Records that nobody can read, under the words of the rule, with process and table filled in."""
    site, server = observed

    def said() -> list[str]:
        site.traffic()
        return [
            alert["annotations"]["summary"]
            for alert in server.api("alerts")["alerts"]
            if ("K2DeadLetters", "trades") == (alert["labels"]["alertname"], alert["labels"].get("table"))
        ]

    wait_until(said, "an alert on dead letters", WITHIN_S)
    (summary,) = said()
    assert re.fullmatch(
        rf"127\.0\.0\.1:{site.worker_port}: [1-9]\d* records of trades could not be read in 15 minutes",
        summary,
    )


def test_healthy_processes_wake_nobody(observed):
    """No alert of severity `page` is about to fire, but for the records that nobody can read."""
    site, server = observed

    def quiet() -> bool:
        site.traffic()
        found = {
            alert["labels"]["alertname"]: alert["labels"]["severity"]
            for alert in server.api("alerts")["alerts"]
        }
        pages = {name for name, severity in found.items() if severity == "page"}
        # The ticket shows that rules are evaluated on what is there.
        return "K2DeadLetters" in found and pages <= {"K2DeadLettersMany"}

    wait_until(quiet, "dead letters, and no other page", WITHIN_S)


def gives(series: list[dict]) -> bool:
    """Whether there is a value among them."""
    return any(not math.isnan(float(one["value"][1])) for one in series)
