import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from k2app.client import Client
from k2app.query.queries import QUERIES
from k2app.query.requests import parameters
from tests.processes import WITHIN_S

ROOT = Path(__file__).parents[3]

TEXT_ONLY = {"format", "control", "numbers"}
"""Parameters about how answers are written; the client's have types."""


def test_methods_and_paths_are_what_the_queries_say():
    """A new query or parameter is there for Python too; `make docs` writes them anew."""
    spec = importlib.util.spec_from_file_location("client_methods", ROOT / "docs/client_methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = ROOT / "k2app/client"
    assert module.methods() == (folder / "methods.py").read_text(), "run `make docs`"
    assert module.paths() == (folder / "paths.py").read_text(), "run `make docs`"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_every_query_has_a_method_with_its_parameters(query):
    """Under their names; those it cannot do without have no default."""
    taken = inspect.signature(getattr(Client, query.name.replace("-", "_"))).parameters
    asked = {name: field for name, field in parameters(query.request).items() if name not in TEXT_ONLY}
    assert asked.keys() == {name.removesuffix("_") for name in taken} - {"self"}
    for name, parameter in taken.items():
        if name != "self":
            field = asked[name.removesuffix("_")]
            assert field.is_required() == (parameter.default is inspect.Parameter.empty), name


def test_the_client_brings_no_engine():
    """Who only asks a server waits for neither DuckDB nor Iceberg."""
    heavy = "{'duckdb', 'pyiceberg', 'faust', 'aiohttp', 'pydantic', 'sqlalchemy', 'fastavro'}"
    code = f"import sys, k2app.client; sys.exit(sorted({heavy} & sys.modules.keys()) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WITHIN_S)
