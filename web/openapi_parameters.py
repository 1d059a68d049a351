"""Request models as OpenAPI parameters."""

from __future__ import annotations

from typing import Any

from k2app.query.query import Query
from k2app.query.requests import Paged, Request, is_repeatable
from k2app.query.requests import parameters as asked_by_name
from k2app.query.times import TAKES

Schema = dict[str, Any]

_TIME: Schema = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[+-]?[0-9]{1,20}(s|ms|us|ns)$"},
    ],
    "examples": ["2026-01-05T00:00:00Z", "1767571200s"],
}
"""A time in a URL."""

_DECIMAL: Schema = {
    "type": "string",
    "format": "decimal",
    "pattern": r"^-?[0-9]{1,10}(\.[0-9]{1,8})?$",
    "examples": ["101.5"],
}
"""A price or quantity in a URL."""


def parameters(query: Query) -> list[Schema]:
    """Parameters of a query: those of its path, those that must be given, its own, those that all have."""
    model = query.request.model_json_schema(mode="validation")
    definitions = model.get("$defs", {})
    required = set(model.get("required", ()))
    found = [
        _parameter(query, name, _resolved(schema, definitions), name in required)
        for name, schema in ((name, model["properties"][name]) for name in asked_by_name(query.request))
    ]
    return sorted(found, key=_place)


def _place(parameter: Schema) -> tuple[bool, bool, bool]:
    name = parameter["name"]
    is_common = name in Request.model_fields or name in Paged.model_fields
    return parameter["in"] != "path", not parameter.get("required", False), is_common


def _parameter(query: Query, name: str, schema: Schema, required: bool) -> Schema:
    in_path = f"{{{name}}}" in query.path
    about = schema.pop("description", "")
    is_time = schema.get("format") == "date-time"
    many = is_repeatable(query.request, name)
    return {
        "name": name,
        "in": "path" if in_path else "query",
        **({"required": True} if required or in_path else {}),
        "description": f"{about} {TAKES[0].upper()}{TAKES[1:]}." if is_time else about,
        "schema": _url_schema(schema),
        **({"style": "form", "explode": True} if many else {}),
    }


def _url_schema(schema: Schema) -> Schema:
    """Schema of what stands in the URL: text, so no null; what is empty is left out."""
    rest = {key: schema[key] for key in ("default",) if schema.get(key) not in (None, [])}
    if schema.get("format") == "date-time":
        return _TIME | rest
    if schema.get("format") == "decimal":
        return _DECIMAL | rest
    if schema.get("type") == "array":
        # pydantic gives the length of a tuple under the name that strings have for it.
        longest = schema.get("maxItems", schema.get("maxLength"))
        most = {} if longest is None else {"maxItems": longest}
        return {"type": "array", "items": _url_schema(schema["items"]), **most, **rest}
    return {key: value for key, value in schema.items() if key not in {"title", "default"}} | rest


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """One flat schema of `anyOf: [it, null]` and of a reference."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    flat = {**schema, **options[0]} if len(options) == 1 else dict(schema)
    if len(options) == 1:
        del flat["anyOf"]
    if "$ref" in flat:
        told = definitions[flat.pop("$ref").rpartition("/")[2]]
        flat = {**told, **flat}
    return flat
