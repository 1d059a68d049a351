"""`/docs`: the OpenAPI document as a page, from files of this package; without scripts it is a list to read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import faust
from aiohttp import web

from web import openapi
from web.dependencies import Dependencies
from web.views import add_view

PATH = "/docs"

FILES = {"docs.css": "text/css", "docs.js": "text/javascript"}
"""What the page loads, by name below `/docs/`."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing from elsewhere, nothing written into the page, no frame around it."""

HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}

Schema = dict[str, Any]


def register(app: faust.App, _dependencies: Dependencies) -> None:
    """Serve the page and its files; the page is made when it is first asked for."""
    add_view(app, "docs", PATH, _sender(lambda: page(openapi.document()).encode(), "text/html"))
    for name, kind in FILES.items():
        body = files("web").joinpath("static", name)
        add_view(app, name, f"{PATH}/{name}", _sender(body.read_bytes, kind))


def page(document: Schema) -> str:
    """The page for a document."""
    operations = [(path, item["get"]) for path, item in document["paths"].items()]
    info = document["info"]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(info['title'])} API</title>\n"
        f'<link rel="stylesheet" href="{PATH}/docs.css">\n<script src="{PATH}/docs.js" defer></script>\n'
        f"</head>\n<body>\n<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>\n"
        f"<p>{_prose(info['description'])}</p>\n"
        f'<p>All of this for programs: <a href="{openapi.PATH}">{openapi.PATH}</a> (OpenAPI 3.1).</p>\n'
        '<p id="key" hidden><label>API key <input type="password" autocomplete="off" size="40"></label> '
        "(stays in this page)</p>\n"
        f"<ul>\n{''.join(_link(path, one) for path, one in operations)}</ul>\n"
        f"{''.join(_section(path, one) for path, one in operations)}"
        f"<h2>Problems</h2>\n{_problems(document)}</body>\n</html>\n"
    )


def _link(path: str, operation: Schema) -> str:
    name = escape(operation["operationId"])
    return f'<li><a href="#{name}">{escape(path)}</a> {_prose(operation["summary"])}</li>\n'


def _section(path: str, operation: Schema) -> str:
    name, asked = escape(operation["operationId"]), operation.get("parameters", [])
    kinds = ", ".join(map(escape, operation["responses"]["200"]["content"]))
    return (
        f'<section id="{name}">\n<h2><code>GET {escape(path)}</code></h2>\n<p>{_prose(operation["summary"])}</p>\n'
        f'<form data-path="{escape(path)}">\n{_table(asked) if asked else ""}'
        "<p hidden><button>Try it</button> <code></code></p>\n<pre hidden></pre>\n</form>\n"
        f"<p>Answers with {kinds}.</p>\n</section>\n"
    )


def _table(parameters: list[Schema]) -> str:
    head = "<tr><th>parameter</th><th>takes</th><th>meaning</th><th hidden>value</th></tr>\n"
    return f"<table>\n{head}{''.join(map(_row, parameters))}</table>\n"


def _row(parameter: Schema) -> str:
    name, place = escape(parameter["name"]), parameter["in"]
    star = " (required)" if parameter.get("required") else ""
    needed = " required" if parameter.get("required") else ""
    many = ' data-many="" placeholder="several: separate with commas"' if parameter.get("explode") else ""
    return (
        f"<tr><td><code>{name}</code>{star}</td><td>{escape(_takes(parameter['schema']))}</td>"
        f"<td>{_prose(parameter['description'])}</td>"
        f'<td hidden><input name="{name}" aria-label="{name}" data-in="{place}"{many}{needed}></td></tr>\n'
    )


def _prose(text: str) -> str:
    """Text with what stands in backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _takes(schema: Schema) -> str:
    """What a parameter takes, in a few words."""
    default = f"; default {str(schema['default']).lower()}" if "default" in schema else ""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"])) + default
    if schema.get("type") == "array":
        return f"{_takes(schema['items'])}, several{default}"
    kind = "time" if "anyOf" in schema else str(schema.get("format", schema.get("type", "text")))
    return kind + default


def _problems(document: Schema) -> str:
    responses = document["components"]["responses"]
    rows = "".join(
        f"<tr><td>{status}</td><td>{_prose(one['description'])}</td></tr>\n"
        for status, one in responses.items()
    )
    return f"<table>\n<tr><th>status</th><th>meaning</th></tr>\n{rows}</table>\n"


def _sender(made: Callable[[], bytes], kind: str) -> Any:
    made = cache(made)

    async def get(_request: web.Request) -> web.StreamResponse:
        body = await asyncio.to_thread(made)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return get
