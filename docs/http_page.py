"""Writes docs/http-api.md from the OpenAPI document: python docs/http_page.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from page_text import WRITTEN, code, table

from web.openapi import PROBLEMS, document

PAGE = Path(__file__).with_name("http-api.md")

Schema = Mapping[str, Any]

HEAD = f"""# HTTP API

{WRITTEN}

Every path of `k2 worker` and `k2 web`, as their own `/openapi.json` (OpenAPI 3.1) has it; `/docs` shows the same as a
page. Keys, limits and what to do about errors: [http.md](http.md). From Python: [client.md](client.md). Columns:
[data-dictionary.md](data-dictionary.md).

All requests are `GET` without a body. Times in URLs are ISO-8601 with a zone (`2025-01-31T09:30:00Z`) or an integer
epoch with its unit (`1738315800s`, `ms`, `us`, `ns`); ranges are `[start, end)`. A parameter that is not listed is
refused.

"""

FORMS = """## Forms of an answer

`format`, or else the header `Accept`, says which:

"""

PAGE_FORM = """A page, the form without either, is one JSON object:

"""

STREAMS = """The other forms of a query are streams of every row, in bounded memory; `limit` and `cursor` make pages of
them too. Each ends with a count and a hash, or breaks off without its last chunk.

Every answer of a query has these headers:

"""

KINDS = """The document's `type` is `urn:k2:problem:` and a kind; [http.md](http.md#errors) lists the kinds, and what to
do.

"""


def page() -> str:
    """The page."""
    found = document()
    paths = {path: item["get"] for path, item in found["paths"].items()}
    queries = {path: one for path, one in paths.items() if "queries" in one["tags"]}
    shared = _shared(queries.values())
    return (
        HEAD
        + _list(paths)
        + "## What every query takes\n\n"
        + _parameters(shared)
        + "".join(_query(path, one, found, {p["name"] for p in shared}) for path, one in queries.items())
        + "".join(_plain(path, one) for path, one in paths.items() if path not in queries)
        + _answers(found, next(iter(queries.values())))
        + _problems(found)
    ).rstrip() + "\n"


def _list(paths: Mapping[str, Schema]) -> str:
    rows = ((f"[`{path}`](#{_anchor(path)})", one["summary"], _key(one)) for path, one in paths.items())
    return table(("path", "what", "key's scope"), rows)


def _anchor(path: str) -> str:
    """Anchor of a path's heading, as GitHub makes it."""
    return "".join(c for c in path.lower() if c.isalnum() or c in "-_")


def _key(operation: Schema) -> str:
    schemes = operation.get("security", [{"bearer": ["read"]}])
    return ", ".join(sorted({scope for one in schemes for scopes in one.values() for scope in scopes}))


def _shared(operations: Iterable[Schema]) -> list[Schema]:
    """Parameters that all queries have, alike."""
    first, *rest = [list(one["parameters"]) for one in operations]
    return [parameter for parameter in first if all(parameter in other for other in rest)]


def _query(path: str, operation: Schema, found: Schema, known: set[str]) -> str:
    own = [p for p in operation["parameters"] if p["name"] not in known]
    name = operation["operationId"]
    return (
        f"## {path}\n\n{operation['summary']}\n\n"
        + _parameters(own)
        + _columns(found, operation)
        + f"On the command line: [`k2-query {name}`](cli.md).\n\n"
    )


def _parameters(parameters: Iterable[Schema]) -> str:
    rows = (
        (
            code(one["name"]),
            _type(one["schema"]),
            "required" if one.get("required") else code(_default(one["schema"])),
            _bounds(one["schema"]),
            one["description"].partition(" Takes ISO-8601")[0],
        )
        for one in parameters
    )
    return table(("parameter", "type", "default", "bounds", "meaning"), rows)


def _type(schema: Schema) -> str:
    if schema.get("type") == "array":
        return f"{_type(schema['items'])}, may be repeated"
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if "anyOf" in schema:
        return "time"
    return str(schema.get("format", schema.get("type", "")))


def _default(schema: Schema) -> str:
    value = schema.get("default")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _bounds(schema: Schema) -> str:
    return ", ".join(_bound_texts(schema))


def _bound_texts(schema: Schema) -> Iterator[str]:
    if schema.get("type") == "array":
        yield f"at most {schema['maxItems']:,} values"
        yield from _bound_texts(schema["items"])
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (low, below) == (-(2**63), 2**63):
        yield "64 bits"
        return
    yield from (f"at least {low:,}" for _ in range(low is not None))
    yield from (f"more than {above:,}" for _ in range(above is not None))
    yield from (f"at most {high:,}" for _ in range(high is not None))
    yield from (f"less than {below:,}" for _ in range(below is not None))
    if "maxLength" in schema:
        yield f"{schema.get('minLength', 0)} to {schema['maxLength']:,} characters"


def _columns(found: Schema, operation: Schema) -> str:
    name = operation["operationId"].replace("-", " ").title().replace(" ", "")
    columns = found["components"]["schemas"][f"{name}Row"].get("properties", {})
    if not columns:
        return ""
    shown = ", ".join(f"{code(column)} ({_column_type(schema)})" for column, schema in columns.items())
    return f"Columns: {shown}.\n\n"


def _column_type(schema: Schema) -> str:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    named = schema.get("format") if schema.get("format") != "int64" else None
    null = " or null" if "null" in kinds else ""
    return f"{named or kinds[0]}{null}"


def _plain(path: str, operation: Schema) -> str:
    kinds = operation["responses"]["200"]["content"]
    statuses = ", ".join(sorted(operation["responses"]))
    return (
        f"## {path}\n\n{operation['summary']} Answers {', '.join(map(code, kinds))}; statuses {statuses}.\n\n"
    )


def _answers(found: Schema, operation: Schema) -> str:
    answer = operation["responses"]["200"]
    kinds = {kind: one.get("schema", {}).get("description", "") for kind, one in answer["content"].items()}
    kinds["application/json"] = "A page."
    members = answer["content"]["application/json"]["schema"]["properties"]
    warning = found["components"]["schemas"]["Warning"]
    about = {
        "rows": "The rows, in order.",
        "snapshots": found["components"]["schemas"]["Snapshots"]["description"],
        "warnings": f"{warning['description']} Each has {', '.join(map(code, warning['properties']))}.",
    }
    headers = ((code(name), one["description"]) for name, one in answer["headers"].items())
    return (
        FORMS
        + table(("type", "what"), ((code(kind), text) for kind, text in kinds.items()))
        + PAGE_FORM
        + table(
            ("member", "meaning"),
            ((code(name), about.get(name) or schema["description"]) for name, schema in members.items()),
        )
        + STREAMS
        + table(("header", "meaning"), headers)
    )


def _problems(found: Schema) -> str:
    problem = found["components"]["schemas"]["Problem"]
    members = (
        (code(name), schema["type"], schema.get("description", ""))
        for name, schema in problem["properties"].items()
    )
    statuses = ((status, HTTPStatus(status).phrase, text) for status, text in PROBLEMS.items())
    return (
        f"## Problems\n\n{problem['description']} `application/problem+json`:\n\n"
        + table(("member", "type", "meaning"), members)
        + table(("status", "title", "meaning"), statuses)
        + KINDS
    )


if __name__ == "__main__":
    PAGE.write_text(page())
