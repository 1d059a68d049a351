"""`docker-compose.yml` as a program reads it, with nothing set in the environment."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]

COMPOSE = ROOT / "docker-compose.yml"

UNITS = {"m": 1 << 20, "g": 1 << 30}
"""Bytes of a memory limit's unit."""

_DOLLAR = re.compile(r"\$\$|\$\{(\w+):-([^}]*)\}")
"""A $ for the container, or a variable with its default. Source: Compose specification, "Interpolation"."""


@dataclass(frozen=True)
class Service:
    """One service, aliases and defaults filled in."""

    name: str
    given: dict

    @property
    def is_ours(self) -> bool:
        """Whether it runs K2's image."""
        return "build" in self.given

    @property
    def is_job(self) -> bool:
        """Whether it ends by itself."""
        return str(self.given.get("restart", "no")).partition(":")[0] in {"no", "on-failure"}

    @property
    def is_started(self) -> bool:
        """Whether `docker compose up` starts it."""
        return "profiles" not in self.given

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.given.get("environment", {}).items()}

    @property
    def memory_bytes(self) -> int:
        number, unit = re.fullmatch(r"(\d+)([mg])", self.given["mem_limit"]).groups()
        return int(number) * UNITS[unit]

    @property
    def binds(self) -> list[Path]:
        """Files and folders of this machine that it sees."""
        sources = [volume.split(":")[0] for volume in self.given.get("volumes", [])]
        return [ROOT / source for source in sources if source.startswith((".", "/"))]

    @property
    def named_volumes(self) -> set[str]:
        sources = {volume.split(":")[0] for volume in self.given.get("volumes", [])}
        return {source for source in sources if not source.startswith((".", "/"))}

    @property
    def waits_for(self) -> dict[str, str]:
        """Condition by service."""
        return {name: one["condition"] for name, one in self.given.get("depends_on", {}).items()}

    def command_line(self, entrypoint: list[str]) -> list[str]:
        """What is executed, if its image has this entry point."""
        return [*self.given.get("entrypoint", entrypoint), *self.given.get("command", [])]


class ComposeFile:
    """The file."""

    def __init__(self, path: Path = COMPOSE) -> None:
        self.text = path.read_text()

    @cached_property
    def variables(self) -> dict[str, set[str]]:
        """Defaults of every variable that a person may set."""
        found: dict[str, set[str]] = {}
        for name, default in _DOLLAR.findall(self.text):
            if name:
                found.setdefault(name, set()).add(default)
        return found

    @cached_property
    def document(self) -> dict:
        assert "$" not in _DOLLAR.sub("", self.text), (
            "a variable without a default, or a $ that is not doubled"
        )
        return yaml.safe_load(_DOLLAR.sub(lambda match: match[2] if match[1] else "$", self.text))

    @cached_property
    def services(self) -> list[Service]:
        return [Service(name, given) for name, given in self.document["services"].items()]

    @property
    def ours(self) -> list[Service]:
        return [service for service in self.services if service.is_ours]

    def service(self, name: str) -> Service:
        return Service(name, self.document["services"][name])


def made_secrets() -> set[str]:
    """Paths of the files that `deploy/secrets.sh` makes, as containers see them."""
    script = (ROOT / "deploy/secrets.sh").read_text()
    return {f"/run/k2/{name}" for name in re.findall(r"^keep (\w+)", script, re.MULTILINE)}
