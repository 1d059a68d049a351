"""Arrow schemas as JSON schemas: what `k2app.query.answers.result_text` writes of each type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

Schema = dict[str, Any]

DECIMAL: Schema = {
    "type": ["string", "number"],
    "format": "decimal",
    "description": "Exact; a string, or with numbers=true a number of the same digits.",
}

_TEXTS: tuple[tuple[Any, Schema], ...] = (
    (pa.types.is_boolean, {"type": "boolean"}),
    (pa.types.is_integer, {"type": "integer", "format": "int64"}),
    (pa.types.is_decimal, DECIMAL),
    (pa.types.is_timestamp, {"type": "string", "format": "date-time"}),
    (pa.types.is_date, {"type": "string", "format": "date"}),
    (pa.types.is_binary, {"type": "string", "description": "Bytes in hexadecimal."}),
    (pa.types.is_large_binary, {"type": "string", "description": "Bytes in hexadecimal."}),
)
"""Schema by kind of type; every other one is text."""


def row_schema(schema: pa.Schema) -> Schema:
    """JSON schema of a row. No column is required: a request may leave some out."""
    return {"type": "object", "properties": {field.name: _nullable(field) for field in schema}}


def _nullable(field: pa.Field) -> Schema:
    found = _type_schema(field.type)
    if not field.nullable:
        return found
    kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
    return {**found, "type": [*kinds, "null"]}


def _type_schema(kind: pa.DataType) -> Schema:
    if pa.types.is_map(kind):
        return {"type": "object", "additionalProperties": _nullable(kind.item_field)}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"type": "array", "items": _nullable(kind.value_field)}
    return next((schema for fits, schema in _TEXTS if fits(kind)), {"type": "string"})
