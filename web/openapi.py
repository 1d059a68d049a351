"""`/openapi.json`: every path, its parameters and answers, made from the queries. Source: OpenAPI 3.1.0."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import faust
from aiohttp import web

from k2app.operate.keys import Scope
from k2app.query.answers.formats import MEDIA_TYPES, Format
from k2app.query.queries import QUERIES
from k2app.query.query import Query
from k2app.query.replay.query import REPLAY_QUERY
from k2app.query.replay.request import REPLAY_MEDIA_TYPES, ReplayFormat
from web.access import API_KEY
from web.dependencies import Dependencies
from web.openapi_parameters import parameters
from web.openapi_rows import row_schema
from web.problems import CONTENT_TYPE
from web.views import add_view

Schema = dict[str, Any]

PATH = "/openapi.json"

ABOUT = (
    "Trades, quotes and what is made of them, from an Iceberg lake. Every answer names the snapshots it was read from; "
    "the same request on them gives the same bytes. Prices and quantities are exact decimals, times UTC, ranges "
    "[start, end)."
)

PROBLEMS: dict[int, str] = {
    400: "A parameter is unknown, or is not what it takes; `parameter` names it.",
    401: "No API key, or one that is not good (any more).",
    403: "The API key has not the scope that this takes.",
    404: "There is nothing at this path; the nearest is named.",
    410: "The snapshot that was asked for was there, and has expired.",
    413: "There was a body; nothing here takes one.",
    414: "The URL is too long.",
    421: "The server has no API keys, and answers only to names of its own machine.",
    429: "Too many requests, or queries at once; `Retry-After` says when to come back.",
    431: "A header is too long.",
    500: "A fault of the server's; its log has it under the X-Request-ID of the answer.",
    503: "The lake is not there, or does not answer.",
    504: "The query took longer than it may.",
}
"""What each status of a problem means. 405 comes with methods that are not in this document."""

SERVED = (*QUERIES, REPLAY_QUERY)
"""Queries, and what is asked like one."""

_TEXT_FORMS = {
    MEDIA_TYPES[Format.NDJSON]: "One JSON object a line.",
    MEDIA_TYPES[Format.CSV]: "Header and rows, RFC 4180.",
    REPLAY_MEDIA_TYPES[ReplayFormat.SSE]: "Server-sent events.",
}
"""What the forms that are text hold."""


def register(app: faust.App, _dependencies: Dependencies) -> None:
    """Serve the document; it is made when it is first asked for: it would be a tenth of every start."""
    text = cache(lambda: json.dumps(document(), ensure_ascii=False, indent=1).encode())

    async def get(_request: web.Request) -> web.StreamResponse:
        body = await asyncio.to_thread(text)
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    add_view(app, "openapi", PATH, get)


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "K2",
            "version": version("k2"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": _security(Scope.READ),
        "paths": {**{query.path: {"get": _query(query)} for query in SERVED}, **_others()},
        "components": {
            "schemas": {
                "Problem": _PROBLEM,
                "Snapshots": _SNAPSHOTS,
                "Warning": _WARNING,
                **{_row_name(query): _row(query) for query in SERVED},
            },
            "responses": {str(status): _problem(status, about) for status, about in PROBLEMS.items()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`k2 keys create` makes a key.",
                },
                "header": {"type": "apiKey", "in": "header", "name": API_KEY},
            },
        },
    }


def _query(query: Query) -> Schema:
    return {
        "operationId": query.name,
        "tags": ["queries"],
        "summary": query.about,
        "parameters": parameters(query),
        **({"security": _security(Scope.REPLAY)} if query is REPLAY_QUERY else {}),
        "responses": {
            "200": {"description": "The answer.", "headers": _HEADERS, "content": _content(query)},
            **_problems(*PROBLEMS),
        },
    }


def _security(scope: Scope) -> list[dict[str, list[str]]]:
    """No key where the server asks for none, or one of this scope in either header."""
    return [{}, {"bearer": [scope.value]}, {"header": [scope.value]}]


def _content(query: Query) -> Schema:
    kinds = [*(REPLAY_MEDIA_TYPES if query is REPLAY_QUERY else MEDIA_TYPES).values()]
    return {kind: _answer(query) if kind == MEDIA_TYPES[Format.JSON] else _stream(kind) for kind in kinds}


def _stream(kind: str) -> Schema:
    about = _TEXT_FORMS.get(kind)
    return {} if about is None else {"schema": {"type": "string", "description": about}}


def _answer(query: Query) -> Schema:
    row = {"$ref": f"#/components/schemas/{_row_name(query)}"}
    answer = {
        "type": "object",
        "required": ["rows", "snapshots", "as_of", "next", "warnings"],
        "properties": {
            "rows": {"type": "array", "items": row},
            "snapshots": {"$ref": "#/components/schemas/Snapshots"},
            "as_of": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "When they were committed.",
            },
            "next": {
                "type": ["string", "null"],
                "description": "`cursor` of the next page; null on the last.",
            },
            "warnings": {"type": "array", "items": {"$ref": "#/components/schemas/Warning"}},
        },
    }
    return {"schema": answer}


def _row_name(query: Query) -> str:
    return f"{query.name.replace('-', ' ').title().replace(' ', '')}Row"


def _row(query: Query) -> Schema:
    return {"type": "object"} if query.schema is None else row_schema(query.schema)


def _others() -> Schema:
    """Paths that answer no query."""
    text = {"text/plain": {"schema": {"type": "string"}}}
    page = {"text/html": {"schema": {"type": "string"}}}
    state = {"application/json": {"schema": {"type": "object", "properties": {"status": {"type": "string"}}}}}
    anything = {"application/json": {"schema": {"type": "object"}}}
    return {
        "/health/live": _plain("live", "Whether the event loop turns.", state, 500, 503, is_public=True),
        "/health/ready": _plain("ready", "Whether it can do its work.", state, 500, 503, is_public=True),
        "/metrics": _plain("metrics", "Metrics in Prometheus' text format.", text, 401, 403, 421, 429, 500),
        PATH: _plain("openapi", "This document.", anything, 421, 429, 500, is_public=True),
        "/docs": _plain("docs", "This document as a page.", page, 421, 429, 500, is_public=True),
    }


def _plain(name: str, about: str, content: Schema, *statuses: int, is_public: bool = False) -> Schema:
    return {
        "get": {
            "operationId": name,
            "tags": ["service"],
            "summary": about,
            **({"security": []} if is_public else {}),
            "responses": {
                "200": {"description": about, "content": content},
                **_problems(413, 414, 431, *statuses),
            },
        }
    }


def _problems(*statuses: int) -> Schema:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _problem(status: int, about: str) -> Schema:
    return {
        "description": f"{HTTPStatus(status).phrase}. {about}",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


_PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong. Source: RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:k2:problem:request"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong, and the way out."},
        "parameter": {"type": "string", "description": "The parameter at fault, as it was given."},
    },
}

_SNAPSHOTS: Schema = {
    "type": "object",
    "description": "Snapshot id of every table that took part; null where it had none yet.",
    "additionalProperties": {"type": ["integer", "null"], "format": "int64"},
}

_WARNING: Schema = {
    "type": "object",
    "description": "What a reader of the rows must know: what was left out, what is missing.",
    "required": ["code", "message", "count"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "count": {"type": "integer"},
    },
}

_HEADERS: Schema = {
    "K2-Snapshots": {"description": "The snapshots, in every form.", "schema": {"type": "string"}},
    "K2-As-Of": {"description": "When they were committed, in every form.", "schema": {"type": "string"}},
    "X-Request-ID": {
        "description": "Names the request in the log; yours, if you give one.",
        "schema": {"type": "string"},
    },
    "RateLimit": {"description": "What is left of the rate.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The rate.", "schema": {"type": "string"}},
}
