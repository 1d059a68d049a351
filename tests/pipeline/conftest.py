"""Fixtures of the pipeline tests: a fresh home per test."""

import pytest
from homes import Home


@pytest.fixture
def home(tmp_path):
    """A home with one exchange of two partitions and an empty log and lake."""
    return Home(tmp_path / "home")
