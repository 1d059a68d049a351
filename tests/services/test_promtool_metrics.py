"""Prometheus's own tool reads the page of a live worker, and has nothing to say."""

import subprocess

import httpx
import pytest

from tests.pipeline.homes import Home, counting, free_port, stopped, trades, wait_until


@pytest.fixture
def home(tmp_path):
    """A home on the embedded log."""
    return Home(tmp_path / "home")


def test_promtool_has_no_complaint_about_a_workers_page(home):
    """Names, units, help and types, as Prometheus wants them: not a line of complaint."""
    home.publish(trades([*counting(3, 50), ("S0", 99)]))
    home.publish_raw([(b"x", b"bad")])
    port = free_port()
    served = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port), "K2_FLUSH_INTERVAL_S": "0.1"}
    base = f"http://127.0.0.1:{port}"
    with stopped(home.start(K2_METRICS_LOOK_S="0.2", **served)):
        wait_until(lambda: sum(home.floors().values()) == 152, "everything in the lake")
        for path in ("/v1/trades?limit=5", "/v1/replay", "/v1/nothing"):
            httpx.get(base + path, timeout=30)
        wait_until(lambda: "k2_open_gaps_of_symbol{" in page(base), "what is looked at now and then")
        text = page(base)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=60, check=False
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def page(base):
    """The page, once the worker serves it."""
    try:
        return httpx.get(f"{base}/metrics", timeout=30).text
    except httpx.TransportError:
        return ""
