"""Prometheus's and Grafana's configuration fits docker-compose.yml."""

import yaml

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
