"""docs/runbooks.md: one section per alert, and nothing in it that is not there."""

import re

import pytest

from k2app.settings import variables
from tests.unit.deploy import monitoring
from tests.unit.deploy.promql import declared
from tests.unit.docs.test_document_commands import check

TEXT = monitoring.RUNBOOKS.read_text()

SECTIONS = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))

CODE = re.findall(r"`([^`\n]+)`", TEXT)

COMMANDS = sorted({code for code in CODE if re.match(r"(k2|k2-query|curl|docker compose) ", code)})


def test_every_alert_has_a_section_and_no_other_has():
    """In the order of the rules."""
    assert list(monitoring.alerts()) == list(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_section_answers_what_one_asks_at_night(name):
    """What it means, what users notice, how to see the cause, what to do, when to call others."""
    said = re.findall(r"^- \*\*(.+?)\*\*", SECTIONS[name], re.MULTILINE)
    assert ["Meaning", "Users notice", "Cause", "Do", "Escalate"] == said


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_real(command):
    """They parse, with the options that they are given; one that is only named is there."""
    check(command if len(command.split()) > 2 else f"{command} --help")


def test_there_are_commands():
    """Or the test above would prove nothing."""
    assert len(COMMANDS) > 15
    assert len(CODE) == TEXT.count("`") // 2, "code that goes over a line's end is not looked at"


def test_metrics_and_settings_exist():
    """Whole names; histograms by the name of the whole."""
    found = {re.sub(r"_(bucket|sum|count)$", "", name) for name in declared()}
    assert set() == set(re.findall(r"\b(?:k2|process)_[a-z_]+[a-z]", TEXT)) - found
    assert set() == set(re.findall(r"\bK2_[A-Z_]+[A-Z]", TEXT)) - set(variables())
