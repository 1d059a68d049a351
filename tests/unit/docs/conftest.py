"""Fixtures of the tests on documents."""

import importlib

import pytest

from tests.console_blocks import ROOT


@pytest.fixture
def generator(monkeypatch):
    """Imports a program of docs/, as `python docs/NAME.py` finds what it imports itself."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module
