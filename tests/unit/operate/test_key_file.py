"""The file of API keys, and the commands that change it."""

import json
import os
import re
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from k2app.cli.k2 import app
from k2app.errors import OperatorError
from k2app.operate.key_file import KeyFile
from k2app.operate.keys import Scope, find, new_key
from tests.processes import ended

NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "home" / "keys.json")


def made(name="a", *, rate=None, expires_at=None):
    return new_key(name, [Scope.READ], rate, expires_at, NOW)


@pytest.fixture
def k2(tmp_path, monkeypatch):
    """Run a command in a fresh home: exit status, standard output, standard error."""
    monkeypatch.setenv("K2_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = CliRunner().invoke(app, ["keys", *arguments])
        if isinstance(done.exception, OperatorError):
            return 2, done.stdout, str(done.exception)
        return done.exit_code, done.stdout, done.stderr

    return run


def test_a_key_is_long_and_only_its_hash_is_kept(file):
    """256 random bits; nothing of the secret is in the file."""
    key = made()
    file.add(key.key)
    prefix, key_id, secret = key.text.split("_")
    assert ("k2", key.key.id, 64) == (prefix, key_id, len(secret))
    assert key_id in file.path.read_text()
    assert secret not in file.path.read_text()
    assert key.key == find(file.read(), key.text)
    assert 20 == len({made().text for _ in range(20)})


def test_the_file_is_for_its_owner_only_at_every_moment(file):
    """Mode 0600 from the first byte on, and nothing is left of how it was written."""
    os.umask(before := os.umask(0))
    file.add(made().key)
    file.add(made().key)
    assert 0o600 == stat.S_IMODE(file.path.stat().st_mode)
    assert ["keys.json", "keys.lock"] == sorted(f.name for f in file.path.parent.iterdir())
    assert before == os.umask(before)


def test_a_file_that_others_may_write_is_refused(file):
    """Anybody could have put a key in."""
    file.add(made().key)
    file.path.chmod(0o666)
    with pytest.raises(OperatorError, match="others may write"):
        file.read()


def test_keys_made_at_the_same_time_are_all_there(file):
    """Each change reads what the one before wrote."""
    keys = [made(f"key {n}").key for n in range(12)]
    threads = [threading.Thread(target=KeyFile(file.path).add, args=(key,), daemon=True) for key in keys]
    for thread in threads:
        thread.start()
    ended(*threads)
    assert {key.id for key in keys} == {key.id for key in file.read()}


def test_a_change_is_seen_by_who_has_read_before(file):
    """The next look, not the next start."""
    other = KeyFile(file.path)
    assert () == other.read()
    key = made().key
    file.add(key)
    assert (key,) == other.read()
    file.revoke(key.id[:4], NOW)
    assert ["revoked"] == [one.state(NOW) for one in other.read()]
    assert NOW == file.revoke(key.id, NOW + timedelta(days=1)).revoked_at


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version":2}', '{"version":1,"keys":[{"id":"a"}]}'])
def test_a_damaged_file_is_named(file, content):
    """Never taken for an empty one."""
    file.path.parent.mkdir()
    file.path.write_text(content)
    with pytest.raises(OperatorError, match=r"keys\.json: not a file of API keys"):
        file.read()
    with pytest.raises(OperatorError, match="not a file of API keys"):
        file.add(made().key)
    assert content == file.path.read_text()


def test_states_of_a_key():
    """Good until it expires or is revoked."""
    key = made(expires_at=NOW + timedelta(days=1)).key
    assert ["good", "good", "expired"] == [key.state(NOW + timedelta(hours=h)) for h in (0, 23, 24)]
    assert "revoked" == key.model_copy(update={"revoked_at": NOW}).state(NOW)


def test_create_prints_the_key_once_and_alone(k2):
    """Standard output is the key, for scripts; what it is stands on standard error."""
    status, printed, said = k2(
        "create", "--name", "research", "--scope", "read", "--scope", "replay", "--rate", "50/s"
    )
    assert 0 == status
    assert re.fullmatch(r"k2_[0-9a-f]{12}_[0-9a-f]{64}\n", printed)
    assert "may read, replay; it is shown this once" in said
    status, listed, _ = k2("list", "--output", "json")
    (key,) = json.loads(listed)
    assert ("research", ["read", "replay"], "50/s", "good", None) == tuple(
        key[name] for name in ("name", "scopes", "rate", "state", "expires_at")
    )
    assert printed.strip().rpartition("_")[2] not in listed
    assert "sha256" not in listed
    assert "research" in k2("list")[1]


def test_revoke_by_the_beginning_of_an_id(k2):
    """Marked, and listed as such; one that is not there, or not clear, is refused."""
    ids = [k2("create", "--name", "a", "--scope", "read")[1].split("_")[1] for _ in range(2)]
    assert (0, f"key {ids[0]} (a) is revoked\n") == k2("revoke", ids[0])[::2]
    states = {key["id"]: key["state"] for key in json.loads(k2("list", "--output", "json")[1])}
    assert {ids[0]: "revoked", ids[1]: "good"} == states
    assert (2, "", "'zz' is no key; `k2 keys list` shows them") == k2("revoke", "zz")
    assert (2, "", "'' is no key; `k2 keys list` shows them") == k2("revoke", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--name", " "], "--name takes a name for people"),
        (["--name", "a", "--rate", "50"], "--rate takes requests by second, minute, hour or day"),
        (["--name", "a", "--rate", "0/s"], "--rate takes"),
        (["--name", "a", "--rate", "1/s\n"], "--rate takes"),
        (["--name", "a", "--expires", "2020-01-01T00:00:00Z"], "is over already"),
        (["--name", "a", "--expires", "soon"], "--expires: 'soon' is not a time"),
        (["--name", "a", "--expires", "0d"], "is over already"),
    ],
)
def test_create_refuses_what_makes_no_sense(k2, arguments, says):
    """Before anything is written."""
    status, printed, said = k2("create", "--scope", "read", *arguments)
    assert (2, "") == (status, printed)
    assert says in said
    assert "no keys\n" == k2("list")[1]


def test_expiry_in_days(k2):
    """Counted from now."""
    k2("create", "--name", "a", "--scope", "read", "--expires", "90d")
    (key,) = json.loads(k2("list", "--output", "json")[1])
    lasts = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert timedelta(days=90) == lasts
