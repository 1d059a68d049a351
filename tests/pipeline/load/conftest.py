"""Fixtures of the loader's tests."""

import logging

import pytest
import structlog

from tests.pipeline.load.commands import Command


@pytest.fixture
def k2(home, tmp_path, monkeypatch, capsysbinary):
    """`k2 load` on a fresh home, from within an empty folder."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    folder = tmp_path / "files"
    folder.mkdir()
    yield Command(home, folder, monkeypatch, capsysbinary)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
