"""Configuration and rules under deploy/prometheus, tried by Prometheus' own promtool."""

import subprocess

import pytest

from tests.services.artifacts import tool
from tests.unit.deploy.monitoring import PROMETHEUS

WITHIN_S = 120.0
"""Deadline of one run: far above the seconds it takes, so that only a hang meets it."""


def promtool(*arguments: object) -> str:
    """Run promtool; returns what it printed, and fails if it found something wrong."""
    command = [tool("promtool"), *(str(argument) for argument in arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WITHIN_S)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["prometheus", "native"])
def test_configuration_is_taken(name, tmp_path):
    """Whole, with the rules that it names, and a key where containers have theirs."""
    key = tmp_path / "metrics_key"
    key.write_text("k2_x")
    (tmp_path / "rules").symlink_to(PROMETHEUS / "rules")
    config = tmp_path / f"{name}.yml"
    config.write_text((PROMETHEUS / f"{name}.yml").read_text().replace("/run/k2/metrics_key", str(key)))
    assert "2 rule files found" in promtool("check", "config", config)


def test_rules_are_well_formed():
    """None is there twice either."""
    files = [file for folder in ("rules", "examples") for file in sorted((PROMETHEUS / folder).glob("*.yml"))]
    promtool("check", "rules", "--lint=all", "--lint-fatal", *files)


@pytest.mark.parametrize("file", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_not_when_they_should_not(file):
    """With the words that people read then; `tests/unit/deploy` sees that none is left out."""
    assert "SUCCESS" in promtool("test", "rules", file)
