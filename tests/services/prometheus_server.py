"""A real Prometheus (Debian's) over processes of K2, with the repository's rules; and its HTTP API."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.services.artifacts import tool
from tests.services.servers import free_port, running
from tests.unit.deploy.monitoring import PROMETHEUS

ANSWER_WITHIN_S = 20.0
"""Deadline of one request: far above the milliseconds it takes, so that only a hang meets it."""


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str
    client: httpx.Client

    def api(self, path: str, **asked: str) -> Any:
        """Answer of its API."""
        response = self.client.get(f"{self.url}/api/v1/{path}", params=asked)
        answer = response.json()
        assert "success" == answer["status"], f"{path} {asked}: {answer}"
        assert not answer.get("warnings"), f"{path} {asked}: {answer['warnings']}"
        return answer["data"]

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Series that an expression gives now."""
        found = self.api("query", query=expression)
        assert "vector" == found["resultType"], expression
        return found["result"]

    def targets(self) -> dict[str, str]:
        """Health of what is scraped, by job."""
        return {one["labels"]["job"]: one["health"] for one in self.api("targets")["activeTargets"]}

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        alerts = self.api("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with their health and what they last said."""
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]


@contextlib.contextmanager
def prometheus(
    folder: Path, config: Mapping[str, Any], rules: Path = PROMETHEUS / "rules"
) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration, and the rules of a folder beside it."""
    folder.mkdir(parents=True)
    (folder / "rules").symlink_to(rules)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(dict(config)))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        tool("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return client.get(f"{url}/-/ready").status_code == HTTPStatus.OK
        return False

    with (
        httpx.Client(trust_env=False, timeout=ANSWER_WITHIN_S) as client,
        running(command, folder / "prometheus.out", answers),
    ):
        yield Prometheus(url, client)


def configuration(targets: Mapping[str, tuple[str, Path]]) -> dict[str, Any]:
    """`deploy/prometheus/native.yml` with these targets, and a second where it has fifteen.

    Parameters
    ----------
    targets
        Address and file of the API key by job.
    """
    given = yaml.safe_load((PROMETHEUS / "native.yml").read_text())
    given["global"] = dict.fromkeys(given["global"], "1s")
    assert set(targets) == {job["job_name"] for job in given["scrape_configs"]}
    for job in given["scrape_configs"]:
        address, key = targets[job["job_name"]]
        job["static_configs"] = [{"targets": [address]}]
        job["authorization"] = {"credentials_file": str(key)}
    return given
