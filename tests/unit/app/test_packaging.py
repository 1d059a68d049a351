"""What is installed, what is locked, and what importing it does."""

import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.processes import WITHIN_S

ROOT = Path(__file__).parents[3]
PACKAGES = ("k2app", "agents", "tables", "web", "schemas")
DATA = {".avsc", ".toml", ".css", ".js", ".typed"}
"""Kinds of files in the packages that are not code."""

IMPORT = """
import sys
import aiokafka, duckdb, faust.app, httpx, pyiceberg.catalog.rest, schema_registry.client

done = []

def note(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.connect", "socket.bind", "sqlite3.connect", "os.mkdir", "subprocess.")):
        done.append((event, str(arguments[:2])))

sys.addaudithook(note)
import k2app.app
import threading
sys.exit(f"work at import: {done}" if done else threading.active_count() - 1)
"""


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked():
    """Version by name of what the lock holds."""
    return dict(
        re.findall(r"^([a-z0-9._-]+)==([^ ]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_top_level_names_are_ours(name):
    """Other distributions have modules of these names (PyTables, openai-agents, web.py): ours are imported."""
    assert ROOT / name / "__init__.py" == Path(importlib.import_module(name).__file__)


def test_wheel_holds_the_packages_and_nothing_else(tmp_path):
    """The packages are listed one by one; the wheel has all their code and data, no tests, no other folder."""
    listed = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(PACKAGES) == sorted(listed)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=WITHIN_S)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {Path(n) for n in archive.namelist() if ".dist-info/" not in n}
    assert {".py"} | DATA == {f.suffix for f in files}
    expected = {
        f.relative_to(ROOT)
        for package in PACKAGES
        for f in (ROOT / package).rglob("*")
        if f.suffix in {".py"} | DATA
    }
    assert expected == files


def test_every_file_in_a_package_is_code_or_known_data():
    """A new kind of data file is put on the list above, and so into the wheel's test."""
    found = {
        f.suffix
        for p in PACKAGES
        for f in (ROOT / p).rglob("*")
        if f.is_file() and "__pycache__" not in f.parts
    }
    assert found <= {".py"} | DATA


def test_no_module_is_called_like_a_test():
    """Faust's scanner skips names with `test_` anywhere in them: `latest_quotes` would vanish without a word."""
    assert [] == [f for p in PACKAGES for f in (ROOT / p).rglob("*test_*.py")]


def test_lock_names_versions_and_hashes_and_no_index():
    """The lock works against any index: it says what is installed, not where it comes from."""
    text = (ROOT / "requirements.lock").read_text()
    assert re.search(r"https?:|--(extra-)?index|--find-links|--trusted-host|git\+", text) is None
    requirements = text.replace("\\\n", " ").splitlines()
    bare = [r for r in requirements if r.strip() and not r.startswith("#") and "--hash=sha256:" not in r]
    assert [] == bare
    assert all("==" in r for r in requirements if r.strip() and not r.startswith("#"))


def test_lock_holds_none_of_the_distributions_that_take_our_names():
    """Installed beside K2, each of them would be imported instead of ours, or mix with it."""
    assert {"tables", "openai-agents", "web-py", "web.py", "agents", "schemas"}.isdisjoint(locked())


def test_lock_holds_every_dependency():
    """What pyproject.toml asks for is pinned."""
    asked = {re.split(r"[\[<>=!~; ]", d)[0] for d in project()["project"]["dependencies"]}
    assert asked <= set(locked())


def test_duckdb_and_its_extension_are_of_one_version():
    """DuckDB loads extensions of exactly its own version: both are pinned, to the same."""
    assert locked()["duckdb"] == locked()["duckdb-extension-httpfs"]
    asked = dict(d.split("==") for d in project()["project"]["dependencies"] if d.startswith("duckdb"))
    assert {"duckdb", "duckdb-extension-httpfs"} == set(asked)
    assert {locked()["duckdb"]} == set(asked.values())


def test_importing_the_app_does_no_work(tmp_path):
    """No file, folder, socket, database, process or thread is made until somebody asks for the app.

    What libraries do when they are imported is theirs: they are imported before anyone looks.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert 0 == done.returncode, done.stderr
    assert [] == list(tmp_path.iterdir())
