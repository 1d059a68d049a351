"""Secrets from mounted files."""

import pytest

from k2app.cli.config import rows
from k2app.errors import OperatorError
from k2app.settings import is_secret, read_settings, variables

SECRETS = {name: path for name, path in variables().items() if is_secret(path)}


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in variables():
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("name", "path"), SECRETS.items())
def test_every_secret_may_be_in_a_file(name, path, monkeypatch, tmp_path):
    """Its text is the file's, without the line break at the end; `k2 config` masks it, and names the variable."""
    (tmp_path / "secret").write_text(" p@ss:word \n")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    settings = read_settings()
    found = settings
    for part in path:
        found = getattr(found, part)
    assert " p@ss:word " == found.get_secret_value()
    (shown,) = [row for row in rows(settings) if row[0] == name]
    assert f"{name}_FILE" == shown[2]
    assert "p@ss" not in " ".join(shown)


def test_other_settings_of_the_group_stay(monkeypatch, tmp_path):
    """A secret from a file stands beside variables and overrides."""
    (tmp_path / "secret").write_text("p")
    monkeypatch.setenv("K2_REGISTRY_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("K2_REGISTRY_USERNAME", "k2")
    found = read_settings(registry={"url": "http://there"}).registry
    assert ("p", "k2", "http://there") == (found.password.get_secret_value(), found.username, found.url)


def test_secret_given_twice_is_refused(monkeypatch, tmp_path):
    """Nobody could tell which holds."""
    monkeypatch.setenv("K2_KAFKA_PASSWORD", "p4ss")
    monkeypatch.setenv("K2_KAFKA_PASSWORD_FILE", str(tmp_path / "secret"))
    with pytest.raises(OperatorError, match="K2_KAFKA_PASSWORD and K2_KAFKA_PASSWORD_FILE are both set"):
        read_settings()


def test_file_that_is_not_there_is_named(monkeypatch, tmp_path):
    """The variable, the file and why."""
    monkeypatch.setenv("K2_KAFKA_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(OperatorError, match=r"K2_KAFKA_PASSWORD_FILE: .*none cannot be read: No such file"):
        read_settings()


def test_only_secrets_come_from_files(monkeypatch):
    """A file for what is no secret is a mistake."""
    monkeypatch.setenv("K2_KAFKA_USERNAME_FILE", "somewhere")
    with pytest.raises(OperatorError, match="K2_KAFKA_USERNAME_FILE is not a setting"):
        read_settings()


def test_passwords_in_urls_are_masked(monkeypatch):
    """A registry's URL may hold a login; it is not shown."""
    monkeypatch.setenv("K2_REGISTRY_URL", "https://k2:p4ss@there/path")
    shown = {row[0]: row[1] for row in rows(read_settings())}
    assert "https://k2:***@there/path" == shown["K2_REGISTRY_URL"]
