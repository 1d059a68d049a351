import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from k2app.errors import OperatorError
from k2app.settings import Settings, read_settings, variables

SHOWN_NEVER = "s3cr3t-of-the-lake"


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch, tmp_path):
    """No K2_ variables and no .env file but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def groups():
    return {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }


def test_every_setting_says_what_it_is():
    """`k2 config` and the settings page are made of the descriptions; each is a sentence."""
    fields = {n: f for n, f in Settings.model_fields.items() if n not in groups()}
    for name, group in groups().items():
        assert group.__doc__
        fields |= {f"{name}.{n}": f for n, f in group.model_fields.items()}
    assert [] == [n for n, f in fields.items() if not (f.description or "").endswith(".")]


def test_every_setting_has_its_variable():
    """Each leaf once, under K2_GROUP_NAME, and no variable could mean two settings."""
    leaves = [(n,) for n in Settings.model_fields if n not in groups()]
    leaves += [(g, n) for g, group in groups().items() for n in group.model_fields]
    assert sorted(leaves) == sorted(variables().values())
    assert all("K2_" + "_".join(path).upper() == name for name, path in variables().items())


@pytest.mark.parametrize(("name", "path"), variables().items())
def test_every_variable_reaches_its_setting(name, path, monkeypatch, tmp_path):
    """What is set in the environment is what the program gets, for each and every variable."""
    value, expected = other_value(path, tmp_path)
    monkeypatch.setenv(name, value)
    found = read_settings()
    for part in path:
        found = getattr(found, part)
    assert expected == (found.get_secret_value() if isinstance(found, SecretStr) else found)


def other_value(path, tmp_path):
    """A valid value other than the default, as text and as read."""
    default = Settings()
    for part in path:
        default = getattr(default, part)
    texts = {
        "synchronous": "normal",
        "level": "debug",
        "format": "json",
        "on_hole": "continue",
        "on_new_log": "continue",
        "keys": "required",
        "rate": "50/min",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "endpoint": "http://other:9000",
    }
    if path[-1] in texts:
        return texts[path[-1]], texts[path[-1]]
    if path[-1] == "sample_ratio":
        return "0.5", 0.5
    if path[-1] == "home" or path[-1].endswith("_file"):
        return str(tmp_path / "there"), tmp_path / "there"
    if path[-1] == "properties":
        return '{"a": "b"}', {"a": SecretStr("b")}
    values = {bool: not default}
    value = values.get(type(default), default + 1 if isinstance(default, int | float) else "other")
    return value if isinstance(value, str) else json.dumps(value), value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("K2_FLUSH_MAX_ROWS", "many", "K2_FLUSH_MAX_ROWS: .*integer.*got 'many' .Commit when this many rows"),
        ("K2_FLUSH_MAX_ROWS", "0", "K2_FLUSH_MAX_ROWS: .*greater than or equal to 1; got '0'"),
        ("K2_WEB_PORT", "65536", "K2_WEB_PORT: .*less than or equal to 65535"),
        ("K2_WEB_PORT", "0", "K2_WEB_PORT: .*greater than or equal to 1; got .0."),
        ("K2_ON_HOLE", "ignore", "K2_ON_HOLE: .*'stop' or 'continue'; got 'ignore'"),
        ("K2_LOGS_LEVEL", "INFO", "K2_LOGS_LEVEL: .*'debug', 'info', 'warning' or 'error'"),
        ("K2_LAKE_CATALOG", "", "K2_LAKE_CATALOG: .*at least 1 character"),
        ("K2_FLUSH_MAX_ROW", "1", "K2_FLUSH_MAX_ROW is not a setting; did you mean K2_FLUSH_MAX_ROWS"),
        ("K2_HOEM", "/data", "K2_HOEM is not a setting; did you mean K2_HOME"),
        ("K2_XYZZY", "1", "K2_XYZZY is not a setting; `k2 config` lists the settings"),
    ],
)
def test_wrong_settings_are_refused_by_name(name, value, message, monkeypatch):
    """The error names the variable as the operator wrote it, what it got, and what it takes."""
    monkeypatch.setenv(name, value)
    with pytest.raises(OperatorError, match=message):
        read_settings()


@pytest.mark.parametrize(
    ("value", "message"),
    [('{"s3.region": 1}', "K2_LAKE_PROPERTIES"), ("not json", "K2_LAKE_PROPERTIES")],
)
def test_wrong_json_is_refused_by_name(value, message, monkeypatch):
    """Catalog properties are a JSON object of texts; anything else names the variable."""
    monkeypatch.setenv("K2_LAKE_PROPERTIES", value)
    with pytest.raises(OperatorError, match=message):
        read_settings()


def test_wrong_json_is_not_shown(monkeypatch):
    """There may be a password in it."""
    monkeypatch.setenv("K2_LAKE_PROPERTIES", '{"s3.session-token": "s3cret"')
    with pytest.raises(OperatorError, match="takes a JSON object") as caught:
        read_settings()
    assert "s3cret" not in str(caught.value)


def test_several_errors_are_told_at_once(monkeypatch):
    """One line per wrong setting: nobody mends them one start at a time."""
    monkeypatch.setenv("K2_WEB_PORT", "x")
    monkeypatch.setenv("K2_FLUSH_MAX_ROWS", "y")
    with pytest.raises(OperatorError) as caught:
        read_settings()
    assert {"K2_WEB_PORT", "K2_FLUSH_MAX_ROWS"} == {
        line.split(":")[0] for line in str(caught.value).splitlines()
    }


def test_dotenv_file_is_read_and_the_environment_wins(monkeypatch):
    """A .env file in the working folder sets what the environment does not; other programs' lines are theirs."""
    Path(".env").write_text("K2_FLUSH_MAX_ROWS=7\nK2_WEB_PORT=1234\nOTHER_PROGRAM=1\n")
    monkeypatch.setenv("K2_WEB_PORT", "4321")
    found = read_settings()
    assert (7, 4321) == (found.flush.max_rows, found.web.port)


def test_misspelt_setting_in_dotenv_is_refused():
    """A typing error in the file is told like one in the environment."""
    Path(".env").write_text("K2_FLUSH_MAX_ROW=7\n")
    with pytest.raises(
        OperatorError, match="K2_FLUSH_MAX_ROW is not a setting; did you mean K2_FLUSH_MAX_ROWS"
    ):
        read_settings()


def test_settings_are_frozen():
    """Read once, handed down: nobody changes them on the way."""
    settings = read_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.home = Path("/elsewhere")
    with pytest.raises(ValidationError, match="frozen"):
        settings.flush.max_rows = 1


def test_secrets_are_not_shown(monkeypatch):
    """Neither the text of the settings nor the catalog's URI for people holds a password."""
    monkeypatch.setenv("K2_LAKE_URI", f"postgresql+psycopg2://k2:{SHOWN_NEVER}@db:5432/k2")
    monkeypatch.setenv("K2_REGISTRY_PASSWORD", SHOWN_NEVER)
    settings = read_settings()
    for text in (repr(settings), str(settings), settings.model_dump_json(), settings.shown_catalog_uri):
        assert SHOWN_NEVER not in text
    assert settings.shown_catalog_uri.startswith("postgresql+psycopg2://k2:***@db:5432/")
    assert SHOWN_NEVER in settings.catalog_uri


def test_everything_that_is_not_set_lives_in_home(monkeypatch, tmp_path):
    """One folder holds log, catalog, warehouse, state and rejects; it is made absolute."""
    monkeypatch.setenv("K2_HOME", "here")
    settings, home = read_settings(), tmp_path / "here"
    assert home == settings.home
    assert f"sqlite:///{home}/log.db" == settings.log_url
    assert f"sqlite:///{home}/catalog.db" == settings.catalog_uri
    assert f"file://{home}/warehouse" == settings.warehouse
    assert {home} == {settings.state_dir.parent, settings.rejects_dir.parent}


def test_overrides_win(monkeypatch):
    """What the program is told in so many words wins over the environment, a group's other settings stay."""
    monkeypatch.setenv("K2_FLUSH_INTERVAL_S", "9")
    monkeypatch.setenv("K2_FLUSH_MAX_ROWS", "9")
    found = read_settings(flush={"max_rows": 3})
    assert (3, 9.0) == (found.flush.max_rows, found.flush.interval_s)


def test_names_of_variables_have_one_form():
    """Upper case, words joined by one underscore."""
    assert all(re.fullmatch(r"K2(_[A-Z0-9]+)+", name) for name in variables())
