"""Faust's own command line: `faust -A k2app.app`."""

import os
import subprocess

import pytest

from tests.pipeline.load.commands import asx_trades, ledger_rows, loaded, on_log
from tests.processes import WITHIN_S


@pytest.fixture
def faust(home, programs, tmp_path):
    """Run `faust -A k2app.app` in a home."""

    def run(*arguments, status=0):
        done = subprocess.run(
            [programs / "faust", "-A", "k2app.app", *arguments],
            env=os.environ | home.environment | {"K2_LOGS_LEVEL": "error", "COLUMNS": "200"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
        assert status == done.returncode, done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


def test_the_loader_is_a_faust_command(faust, home, tmp_path):
    """The same options, the same line, the same ledger as `k2 load`."""
    (tmp_path / "9001.csv").write_text(asx_trades(3))
    arguments = ("load", "9001.csv", "--profile", "asx", "--type", "trades", "--symbol", "KTO")
    assert loaded("9001.csv", 3).search(faust(*arguments))
    assert ["sent"] == [entry.state for entry in ledger_rows(home)]
    assert [1, 2, 3] == [row["sequence"] for row in on_log(home)]
    assert "k2: profile 'nope' is not known" in faust(
        "load", "9001.csv", *arguments[4:], "--profile", "nope", status=2
    )


def test_help_lists_commands_by_their_names(faust):
    """Faust's own, and the loader, whose help is that of `k2 load`."""
    found = faust("--help")
    assert all(f"\n  {name} " in found for name in ("agents", "load", "tables", "worker"))
    assert "Usage: faust -A k2app.app load [OPTIONS] {files}..." in faust("load", "--help")
