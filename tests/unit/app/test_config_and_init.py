import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from k2app.cli.config import rows
from k2app.cli.init import init_lake
from k2app.lake.catalog import open_catalog
from k2app.lake.tables import SPECS
from k2app.settings import read_settings, variables
from k2app.stream.log_file import LogFile
from tests.processes import WITHIN_S

SHOWN_NEVER = "s3cr3t-of-the-lake"


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch, tmp_path):
    """No K2_ variables and no .env file but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def shown():
    """Value and source by variable."""
    return {variable: (value, source) for variable, value, source, _ in rows(read_settings())}


def test_every_setting_is_listed_with_its_meaning():
    """One row per variable, in the order of the settings; none without an explanation."""
    found = list(rows(read_settings()))
    assert list(variables()) == [variable for variable, *_ in found]
    assert all(meaning for *_, meaning in found)


def test_source_says_where_a_value_comes_from(monkeypatch, tmp_path):
    """Environment before .env before the default; what follows from K2_HOME says so."""
    Path(".env").write_text("K2_FLUSH_MAX_ROWS=7\nK2_WEB_PORT=1234\n")
    monkeypatch.setenv("K2_WEB_PORT", "4321")
    monkeypatch.setenv("K2_HOME", str(tmp_path / "there"))
    found = shown()
    assert ("4321", "environment") == found["K2_WEB_PORT"]
    assert ("7", ".env") == found["K2_FLUSH_MAX_ROWS"]
    assert ("127.0.0.1", "default") == found["K2_WEB_HOST"]
    assert (f"sqlite:///{tmp_path}/there/log.db", "from K2_HOME") == found["K2_LOG_URL"]
    assert (f"sqlite:///{tmp_path}/there/catalog.db", "from K2_HOME") == found["K2_LAKE_URI"]
    assert (f"file://{tmp_path}/there/warehouse", "from K2_HOME") == found["K2_LAKE_WAREHOUSE"]


def test_secrets_are_masked_but_seen_to_be_set(monkeypatch):
    """A secret shows as stars if it is set, as nothing if it is not."""
    assert ("", "default") == shown()["K2_REGISTRY_PASSWORD"]
    monkeypatch.setenv("K2_REGISTRY_PASSWORD", SHOWN_NEVER)
    monkeypatch.setenv("K2_LAKE_URI", f"postgresql+psycopg2://k2:{SHOWN_NEVER}@db/k2")
    found = shown()
    assert ("********", "environment") == found["K2_REGISTRY_PASSWORD"]
    assert SHOWN_NEVER not in str(found)


def test_command_prints_settings_on_standard_output(tmp_path):
    """`k2 config` is a program's output: it goes to standard output, and the errors of a wrong setting do not."""
    command = [sys.executable, "-m", "k2app.cli.k2", "config"]
    environment = os.environ | {"K2_HOME": str(tmp_path), "COLUMNS": "400"}
    done = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=WITHIN_S
    )
    assert "K2_FLUSH_MAX_ROWS" in done.stdout
    assert "" == done.stderr
    assert [] == list(tmp_path.iterdir())
    wrong = environment | {"K2_REGISTRY_PASSWROD": SHOWN_NEVER}
    refused = subprocess.run(
        command, env=wrong, check=False, capture_output=True, text=True, timeout=WITHIN_S
    )
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "k2: K2_REGISTRY_PASSWROD is not a setting; did you mean K2_REGISTRY_PASSWORD?\n" == refused.stderr


def initialised(settings):
    """What `k2 init` prints."""
    printed = io.StringIO()
    init_lake(settings, Console(file=printed, width=200))
    return printed.getvalue().splitlines()


def what_is_there(settings):
    """Topics, subjects and tables, by their identities."""
    log = LogFile(settings.home / "log.db")
    topics = {t: log.subject_schemas(t.name) for t in log.topics()}
    subjects = {
        s: log.subject_schemas(s) for s in ("market.equities.trades-value", "market.crypto.quotes-value")
    }
    catalog = open_catalog(settings)
    tables = {name: catalog.load_table((settings.lake.namespace, name)).metadata for name in SPECS}
    found = (log.log_id, topics, subjects, tables)
    log.close()
    catalog.close()
    return found


def test_init_makes_what_is_missing_and_changes_nothing_that_is_there(tmp_path):
    """The first run names what it made; the second makes nothing, and every identity stays."""
    settings = read_settings(home=tmp_path / "home")
    first = initialised(settings)
    assert {f"table    market_data.{name}" for name in SPECS} <= set(first)
    assert "topic    market.equities.trades.asx" in first
    before = what_is_there(settings)
    second = initialised(settings)
    assert "everything is there already" == second[0]
    assert not any(line.startswith(("topic", "table")) for line in second)
    assert before == what_is_there(settings)


def test_init_adds_an_exchange_to_what_is_there(tmp_path):
    """An exchange that is new to the configuration gets its topics; the others keep theirs."""
    home = tmp_path / "home"
    initialised(read_settings(home=home, exchanges="asx"))
    added = initialised(read_settings(home=home, exchanges="asx,binance"))
    assert {f"topic    market.crypto.{d}.binance" for d in ("trades", "quotes", "reference_data")} == {
        line for line in added if line.startswith(("topic", "table"))
    }
