"""Rules, their tests and dashboards under deploy/, as programs read them."""

import importlib.util
import json
from dataclasses import dataclass
from types import ModuleType

import yaml

from tests.unit.deploy.compose_file import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"

GRAFANA = ROOT / "deploy" / "grafana"

RUNBOOKS = ROOT / "docs" / "runbooks.md"


@dataclass(frozen=True)
class Panel:
    """A panel with data."""

    dashboard: str
    given: dict

    @property
    def name(self) -> str:
        """Unique: several have the same title."""
        return f"{self.dashboard} {self.given['id']}: {self.given['title']}"

    @property
    def expressions(self) -> list[str]:
        return [target["expr"] for target in self.given["targets"]]


def _rules(name: str, folder: str = "rules") -> list[dict]:
    groups = yaml.safe_load((PROMETHEUS / folder / f"{name}.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recordings() -> dict[str, str]:
    """Expression of every recording rule, by the name of what it records."""
    return {rule["record"]: rule["expr"] for rule in _rules("k2-recording")}


def alerts() -> dict[str, dict]:
    """Every alert by name."""
    return {rule["alert"]: rule for rule in _rules("k2-alerts")}


def examples() -> dict[str, dict]:
    """Every alert that is shown as an example, by name."""
    return {rule["alert"]: rule for rule in _rules("feeds", "examples")}


def rule_tests() -> list[dict]:
    """Every test of promtool's."""
    files = sorted((PROMETHEUS / "tests").glob("*.yml"))
    return [test for file in files for test in yaml.safe_load(file.read_text())["tests"]]


def dashboards() -> dict[str, dict]:
    """Every dashboard by the name of its file."""
    return {
        path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
    }


def panels() -> list[Panel]:
    """Every panel with data."""
    return [
        Panel(name, panel)
        for name, board in dashboards().items()
        for panel in board["panels"]
        if panel["type"] != "row"
    ]


def generator() -> ModuleType:
    """The program that writes the dashboards."""
    spec = importlib.util.spec_from_file_location("k2_dashboards", GRAFANA / "dashboards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def provider() -> dict:
    """Grafana's provider of the dashboards."""
    (found,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "k2.yml").read_text())["providers"]
    return found
