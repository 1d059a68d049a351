"""The OpenAPI document says what is served: no more, no less, and in what form."""

from __future__ import annotations

import json
import re

import jsonschema
import pyarrow as pa
import pytest
from openapi_spec_validator import validate

from k2app.query.queries import QUERIES
from tests.web.live import live, small_lake
from web.openapi import SERVED, document
from web.openapi_rows import row_schema


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("openapi")) as lake, live(lake) as running:
        yield running


@pytest.fixture(scope="module")
def served(site):
    answer = site.get("/openapi.json")
    assert (200, "application/json") == (answer.status_code, answer.headers["Content-Type"].split(";")[0])
    return answer.json()


def test_document_follows_the_specification(served):
    """OpenAPI 3.1, with all of its references and JSON schemas."""
    assert "3.1.0" == served["openapi"]
    validate(served)


def test_every_route_is_documented_and_every_documented_path_is_served(site, served):
    """Files of the page aside; HEAD goes with GET."""
    routes = {path for path, method in site.routes() if method == "GET" and not path.startswith("/docs/")}
    assert routes == set(served["paths"])
    assert {"GET", "HEAD"} == {method for _, method in site.routes()}


@pytest.mark.parametrize("query", SERVED, ids=lambda q: q.name)
def test_parameters_are_those_of_the_request(query):
    """Each once, described, in path or query; repeatable ones as exploded arrays; times and decimals as text."""
    found = document()["paths"][query.path]["get"]["parameters"]
    fields = {field.alias or name: field for name, field in query.request.model_fields.items()}
    assert sorted(fields) == sorted(one["name"] for one in found)
    in_path = set(re.findall(r"{(\w+)}", query.path))
    assert in_path == {one["name"] for one in found if one["in"] == "path"}
    required = {name for name, field in fields.items() if field.is_required()}
    assert required | in_path == {one["name"] for one in found if one.get("required")}
    assert [] == [one["name"] for one in found if not one["description"].endswith(".")]
    arrays = {one["name"] for one in found if one["schema"].get("type") == "array"}
    assert arrays == {one["name"] for one in found if one.get("explode")}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/trades",
        "/v1/trades?numbers=true&symbol=BHP&columns=price",
        "/v1/quotes",
        "/v1/gaps",
        "/v1/gaps?events=true",
        "/v1/symbols",
        "/v1/stats",
        "/v1/summary?start_date=2026-01-05",
        "/v1/summary/BHP/2026-01-05",
    ],
)
def test_answers_are_as_documented(site, served, path):
    """Rows, and what comes with them, against the schema of their path."""
    body = site.get(path).json()
    assert body["rows"]
    template = next(
        one for one in served["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", one), path.split("?")[0])
    )
    content = served["paths"][template]["get"]["responses"]["200"]["content"]
    schema = {**content["application/json"]["schema"], "components": served["components"]}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(body)


VALUES = {"symbol": "BHP", "date": "2026-01-05", "start_date": "2026-01-05", "interval": "1m"}
"""A good value of each parameter that some query must have."""


def answerable(query):
    """Whether we have a good value for all that a query must have, and know its columns."""
    fields = query.request.model_fields.items()
    return query.schema is not None and {n for n, field in fields if field.is_required()} <= VALUES.keys()


@pytest.mark.parametrize("query", [*filter(answerable, QUERIES)], ids=lambda q: q.name)
def test_every_column_of_a_row_is_documented(site, query):
    """The schema is the engine's own: the columns of an answer, in order, written in the same form."""
    required = [name for name, field in query.request.model_fields.items() if field.is_required()]
    rest = {name: VALUES[name] for name in required if f"{{{name}}}" not in query.path}
    answer = site.get(query.path.format(**VALUES), params={**rest, "format": "arrow"})
    assert 200 == answer.status_code, answer.text
    found = pa.ipc.open_stream(answer.content).schema
    assert query.schema.names == found.names
    assert shapes(query.schema) == shapes(found)


def shapes(schema):
    """How each column is written, null or not: what a table forbids, a result does not."""
    columns = row_schema(pa.schema([field.with_nullable(True) for field in schema]))["properties"]
    return {name: (one["type"], one.get("format")) for name, one in columns.items()}


def section(page, item):
    """Part of the page about one path."""
    return page.partition(f'<section id="{item["get"]["operationId"]}">')[2].partition("</section>")[0]


def test_page_is_whole_without_scripts_and_loads_nothing_from_elsewhere(site, served):
    """Every path and parameter stands in the page itself; its policy allows this server's files and no others."""
    answer = site.get("/docs")
    assert "text/html; charset=utf-8" == answer.headers["Content-Type"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    for path, item in served["paths"].items():
        assert path in answer.text
        for one in item["get"].get("parameters", ()):
            assert f"<code>{one['name']}</code>" in answer.text
            needed = re.search(rf'<input name="{one["name"]}"[^>]* required>', section(answer.text, item))
            assert one.get("required", False) == (needed is not None)
    assert "`" not in answer.text
    assert [] == re.findall(r"https?:|//|style=|onclick|<script>", answer.text)
    files = re.findall(r'(?:src|href)="(/docs/[^"]+)"', answer.text)
    assert ["/docs/docs.css", "/docs/docs.js"] == sorted(files)
    kinds = {name: site.get(name).headers["Content-Type"] for name in files}
    assert {
        "/docs/docs.css": "text/css; charset=utf-8",
        "/docs/docs.js": "text/javascript; charset=utf-8",
    } == kinds


def test_document_is_the_same_every_time():
    """Nothing in it depends on when or where it was made."""
    assert json.dumps(document()) == json.dumps(document())
