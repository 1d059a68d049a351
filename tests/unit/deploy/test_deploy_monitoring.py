"""Prometheus's and Grafana's configuration fits docker-compose.yml."""

import re
from pathlib import PurePosixPath

import pytest
import yaml

from tests.unit.deploy import monitoring
from tests.unit.deploy.compose_file import ROOT, ComposeFile, made_secrets

FILE = ComposeFile()

SCRAPED = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]


def test_every_process_of_k2_is_scraped():
    """Workers and web server, each once, at the port that K2 listens on, with the key that was made for it."""
    jobs = [job for job in SCRAPED if job["job_name"].startswith("k2-")]
    targets = sorted(target for job in jobs for one in job["static_configs"] for target in one["targets"])
    serving = [one for one in FILE.ours if "K2_WEB_HOST" in one.environment]
    assert sorted(f"{one.name}:{one.environment.get('K2_WEB_PORT', '6066')}" for one in serving) == targets
    for job in jobs:
        assert job["authorization"]["credentials_file"] in made_secrets()
    assert "secrets:/run/k2:ro" in FILE.service("prometheus").given["volumes"]


def test_grafana_asks_prometheus():
    (source,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert "http://prometheus:9090" == source["url"]


IN_BOTH = {
    "abs",
    "avg_over_time",
    "changes",
    "count",
    "count_over_time",
    "deriv",
    "histogram_quantile",
    "increase",
    "max",
    "min",
    "predict_linear",
    "rate",
    "sum",
    "sum_over_time",
    "time",
    "timestamp",
    "topk",
    "vector",
}
"""Functions and aggregations that Prometheus 2.42 (tests) and 3 (compose) have alike. Source: its functions.md."""


def test_rules_are_mounted_where_the_configuration_looks():
    """Beside it, as in the repository: one file serves both."""
    volumes = FILE.service("prometheus").given["volumes"]
    mounted = dict(volume.split(":")[1::-1] for volume in volumes)
    (config,) = (inside for inside, here in mounted.items() if here.endswith("/prometheus.yml"))
    (pattern,) = yaml.safe_load((ROOT / mounted[config]).read_text())["rule_files"]
    inside = PurePosixPath(config).parent / pattern
    assert "./deploy/prometheus/rules" == mounted[str(inside.parent)]
    assert 2 == len(list((ROOT / mounted[str(inside.parent)]).glob(inside.name)))


@pytest.mark.parametrize("name", ["prometheus", "native"])
def test_rules_find_the_jobs(name):
    """Rules and dashboards ask for processes by these names, however they are deployed."""
    config = yaml.safe_load((monitoring.PROMETHEUS / f"{name}.yml").read_text())
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert {"k2-worker", "k2-web"} == jobs - {"prometheus"}


def test_processes_beside_a_first_worker_are_not_scraped_before_they_are_put_in():
    """A target that nobody has started would be paged for as long as it stands there."""
    jobs = yaml.safe_load((monitoring.PROMETHEUS / "native.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: [t for one in job["static_configs"] for t in one["targets"]] for job in jobs}
    assert {"k2-worker": ["127.0.0.1:6066"], "k2-web": []} == targets


def test_expressions_mean_the_same_to_the_pinned_prometheus():
    """Nothing that version 3 took away or changed the meaning of."""
    expressions = [
        *monitoring.recordings().values(),
        *(rule["expr"] for rule in monitoring.alerts().values()),
    ]
    expressions += [one for panel in monitoring.panels() for one in panel.expressions]
    used = {
        name for text in expressions for name in re.findall(r"\b([a-z_]+)\(", re.sub(r"\w+ \(", "", text))
    }
    assert used <= IN_BOTH
    assert FILE.service("prometheus").given["image"].rpartition(":v")[2].startswith("3.")
