"""Fixtures of the commands' tests."""

from pathlib import Path
from sys import executable

import pytest


@pytest.fixture(scope="session")
def programs():
    """Folder of the installed commands."""
    return Path(executable).parent
