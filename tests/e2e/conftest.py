"""Fixtures of the end-to-end tests: a fresh home per test, whose workers serve HTTP."""

import pytest

from tests.pipeline.homes import Home
from tests.web.conftest import free_port


@pytest.fixture
def port():
    """A port of this machine that nobody listens on."""
    return free_port()


@pytest.fixture
def home(tmp_path, port):
    """A home with one exchange of two partitions; its workers listen on `port`."""
    return Home(tmp_path / "home", K2_WEB_ENABLED="true", K2_WEB_PORT=str(port))
