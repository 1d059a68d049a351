"""A real Prometheus that watches the worker of a drill by the repository's rules, in a hurry."""

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.pipeline.homes import wait_until
from tests.services.prometheus_server import Prometheus, prometheus
from tests.unit.deploy.monitoring import PROMETHEUS

HASTE = 30
"""Factor by which every time in the rules is shortened: five minutes become ten seconds."""

SHORTEST_S = 5
"""Least seconds that a range has: several scrapes."""

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

FIRST_SCRAPE_S = 60.0
"""Deadline of the first answer of the worker."""

LOOK_S = 0.5
"""Seconds between looks at the alerts."""


@dataclass(frozen=True)
class Alarm:
    """What is asked of it in a drill."""

    server: Prometheus
    seen: set[str] = field(default_factory=set)
    """Every alert that fired at a look, whoever waited for which."""

    def wait_for(self, alerts: Collection[str], within_s: float) -> str:
        """Wait until one of these alerts fires; returns which."""
        deadline = time.monotonic() + within_s
        while not (fired := self._firing() & {*alerts}):
            assert time.monotonic() < deadline, (
                f"none of {', '.join(sorted(alerts))} fired within {within_s} s"
            )
            time.sleep(LOOK_S)
        return min(fired)

    def wait_for_quiet(self, alerts: Collection[str], within_s: float) -> None:
        """Wait until none of these alerts fires."""
        deadline = time.monotonic() + within_s
        while fired := self._firing() & {*alerts}:
            assert time.monotonic() < deadline, f"{', '.join(sorted(fired))} still fires after {within_s} s"
            time.sleep(LOOK_S)

    def _firing(self) -> set[str]:
        firing = self.server.firing()
        self.seen.update(firing)
        return firing


@contextmanager
def alarm(folder: Path, port: int) -> Iterator[Alarm]:
    """Run a Prometheus that scrapes the process on a port; yields it once it has a first answer."""
    rules = folder.with_name("hurried-rules")
    rules.mkdir()
    for file in (PROMETHEUS / "rules").glob("*.yml"):
        (rules / file.name).write_text(hurried(file.read_text()))
    job = {"job_name": "k2-worker", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [job],
    }
    with prometheus(folder, config, rules) as server:
        wait_until(lambda: bool(server.ask("up == 1")), "a first answer of the worker", FIRST_SCRAPE_S)
        yield Alarm(server)


def hurried(rules: str) -> str:
    """Rules in which every time is shorter: how long something holds, what a range spans, what is late."""
    found = yaml.safe_load(rules)
    for group in found["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\d+)([smhd])\]", _range, rule["expr"])
            rule["expr"] = re.sub(r"(:k2_process_age:seconds < )(\d+)", _threshold, rule["expr"])
            rule["expr"] = re.sub(r"^(k2_\w+_seconds > )(\d+)$", _threshold, rule["expr"])
            if "for" in rule:
                rule["for"] = f"{max(_seconds(rule['for']) // HASTE, 1)}s"
    return yaml.safe_dump(found, sort_keys=False)


def _range(found: re.Match[str]) -> str:
    return f"[{max(int(found[1]) * UNITS[found[2]] // HASTE, SHORTEST_S)}s]"


def _threshold(found: re.Match[str]) -> str:
    return f"{found[1]}{max(int(found[2]) // HASTE, 1)}"


def _seconds(text: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))
