"""Alert and recording rules, read; `tests/services/test_prometheus_rules.py` has Prometheus' own promtool try them."""

import re

import pytest

from k2app.settings import variables
from tests.unit.deploy import monitoring
from tests.unit.deploy.promql import COMPARISON, declared, grouped_labels, selectors

ALERTS = monitoring.alerts()

RECORDED = monitoring.recordings()

OF_NO_PROCESS = {"K2NoWorker", "K2LagGrowing"}
"""Alerts on all workers together, on a topic."""

each_alert = pytest.mark.parametrize("name", ALERTS)


def expressions() -> dict[str, str]:
    return RECORDED | {name: rule["expr"] for name, rule in ALERTS.items()}


def test_there_is_an_alert_on_everything_that_goes_wrong():
    """At least what the operations of a lakehouse need."""
    assert len(ALERTS) >= 20
    assert len(set(ALERTS)) == len(ALERTS)


@each_alert
def test_alert_compares_one_value_with_one_threshold(name):
    """So that the threshold can be changed, and the value be drawn."""
    assert COMPARISON.fullmatch(ALERTS[name]["expr"])


@each_alert
def test_alert_waits_and_says_how_urgent_it_is(name):
    """Nobody is woken by one scrape."""
    assert re.fullmatch(r"[1-9]\d*[mh]", ALERTS[name]["for"])
    assert ALERTS[name]["labels"]["severity"] in {"page", "ticket"}


@each_alert
def test_alert_names_process_and_value(name):
    """Whoever is woken reads it on a telephone."""
    said = ALERTS[name]["annotations"]
    assert "$value" in said["summary"]
    assert ("$labels.instance" in said["summary"]) is (name not in OF_NO_PROCESS)
    assert said["description"].endswith(".")


@each_alert
def test_labels_in_texts_are_there(name):
    """A template that asks for another would leave a hole in the sentence."""
    rule = ALERTS[name]
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    left = COMPARISON.fullmatch(rule["expr"])["left"]
    inner = RECORDED.get(left, left)
    assert used <= grouped_labels(inner) | {
        label for one in selectors(inner) for label in known().get(one.name, ())
    }


@each_alert
def test_alert_leads_to_its_runbook(name):
    """The anchor is that of a heading of the page."""
    page, _, anchor = ALERTS[name]["annotations"]["runbook"].partition("#")
    assert monitoring.RUNBOOKS == monitoring.ROOT / page
    headings = re.findall(r"^### (.+)$", monitoring.RUNBOOKS.read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert name.lower() == anchor


@each_alert
def test_alert_is_shown_firing_and_not_firing(name):
    """By promtool's tests: one with what it says when it fires, one without."""
    checks = [
        check
        for test in monitoring.rule_tests()
        for check in test["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert {True, False} == {bool(check["exp_alerts"]) for check in checks}
    fired = [alert for check in checks for alert in check["exp_alerts"]]
    assert all({"summary", "description", "runbook"} == set(alert["exp_annotations"]) for alert in fired)


@each_alert
def test_another_process_stays_quiet(name):
    """While it fires, its test has a series that is as it should be, unless it is about all of them."""
    (test,) = (test for test in monitoring.rule_tests() if test["name"] == name)
    fired = max(len(check["exp_alerts"]) for check in test["alert_rule_test"])
    keys = {
        frozenset((k, v) for k, v in one.labels.items() if k not in {"le", "outcome", "severity", "flag"})
        for entry in test["input_series"]
        for one in selectors(entry["series"])
    }
    assert name == "K2NoWorker" or fired < len(keys)


@pytest.mark.parametrize("name", expressions())
def test_series_are_there_and_have_these_labels(name):
    """A metric or label that was renamed would leave a rule that never fires."""
    found = known()
    expression = expressions()[name]
    for one in selectors(expression):
        assert one.name in found, one
        assert set(one.labels) <= found[one.name], one
    assert grouped_labels(expression) <= set().union(*(found[one.name] for one in selectors(expression)))


def test_examples_ask_for_series_that_are_there():
    """And are tried by promtool; they are not in force, and must be right when somebody takes them."""
    tried = {check["alertname"] for test in monitoring.rule_tests() for check in test["alert_rule_test"]}
    rules = monitoring.examples()
    assert rules
    for name, rule in rules.items():
        assert name in tried
        for one in selectors(rule["expr"]):
            assert set(one.labels) <= known()[one.name], one


def test_what_is_recorded_is_used():
    """By an alert, or by what an alert uses."""
    used = {one.name for expression in expressions().values() for one in selectors(expression)}
    assert set() == set(RECORDED) - used


def test_settings_in_texts_are_settings():
    said = set(re.findall(r"K2_[A-Z_]+[A-Z]", str(ALERTS)))
    assert said
    assert said <= set(variables())


def known() -> dict[str, set[str]]:
    """Labels by series: metrics, and what is recorded."""
    found = declared()
    for name, expression in RECORDED.items():
        found[name] = set().union(*(found.get(one.name, set()) for one in selectors(expression)), {"job"})
    return found
