"""Fixtures of the loader's tests."""

import pytest

from tests.pipeline.load.commands import Command


@pytest.fixture
def k2(home, tmp_path, monkeypatch, capsysbinary):
    """`k2 load` on a fresh home, from within an empty folder."""
    folder = tmp_path / "files"
    folder.mkdir()
    return Command(home, folder, monkeypatch, capsysbinary)
