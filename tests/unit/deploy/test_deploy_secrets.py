"""`deploy/secrets.sh`: the passwords and API keys of `docker compose up`."""

import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k2app.operate.key_file import key_file
from k2app.operate.keys import Scope, find
from k2app.settings import read_settings
from tests.processes import WITHIN_S

SCRIPT = Path(__file__).parents[3] / "deploy" / "secrets.sh"


def make(folder: Path, *homes: Path) -> None:
    """Run the script as the first job does, with K2's programs on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", SCRIPT, folder, *homes],
        env=os.environ | {"PATH": path},
        cwd=folder.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert 0 == done.returncode, done.stderr


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "secrets"


def test_keys_open_the_servers_that_get_the_file(folder, tmp_path):
    """The key for people reads and replays, that of Prometheus reads; every home knows both."""
    homes = [tmp_path / "web", tmp_path / "worker"]
    make(folder, *homes)
    for home in homes:
        keys = key_file(read_settings(home=home)).read()
        people, metrics = (
            find(keys, (folder / name).read_text().strip()) for name in ("api_key", "metrics_key")
        )
        assert (Scope.READ, Scope.REPLAY) == people.scopes
        assert (Scope.READ,) == metrics.scopes
        assert "good" == people.state(datetime.now(UTC))


def test_passwords_need_no_quoting(folder):
    """They go through files, shells and URIs as they are, and are beyond guessing."""
    make(folder)
    for name in ("postgres_password", "s3_secret_key", "grafana_password"):
        assert re.fullmatch("[0-9a-f]{48}", (folder / name).read_text())


def test_second_start_changes_nothing(folder, tmp_path):
    """Servers keep what they were made with; a key that a person made in a home stays."""
    home = tmp_path / "web"
    make(folder, home)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (home / "keys.json").write_text('{"version": 1, "keys": []}')
    make(folder, home)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert () == key_file(read_settings(home=home)).read()


def test_what_a_killed_start_left_out_is_made(folder):
    """A file is there as a whole, or not: the next start makes it."""
    make(folder)
    (folder / "grafana_password").unlink()
    (folder / "api_key").write_text("")
    kept = (folder / "postgres_password").read_text()
    make(folder)
    assert 48 == len((folder / "grafana_password").read_text())
    assert (folder / "api_key").read_text().startswith("k2_")
    assert kept == (folder / "postgres_password").read_text()


def test_two_starts_share_no_secret(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    make(one)
    make(other)
    assert not {p.read_text() for p in one.glob("*_*")} & {p.read_text() for p in other.glob("*_*")}


def test_others_read_secrets_and_nobody_the_file_of_keys(folder, tmp_path):
    """Servers read them as users of their own; a home's keys are its owner's."""
    make(folder, tmp_path / "web")
    assert 0o644 == stat.S_IMODE((folder / "postgres_password").stat().st_mode)
    assert 0o600 == stat.S_IMODE((tmp_path / "web" / "keys.json").stat().st_mode)
