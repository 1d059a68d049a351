"""Avro schemas of one record: the supported subset, checked and resolved when the schema is read.

Supported: null, boolean, int, long, float, double, bytes, string, enum (up to 128 symbols), fixed, decimals in
bytes and fixed (up to 38 digits), date, the timestamp and local-timestamp types, unions of null and one other
type in either order, and arrays and maps of all these, nested too. Everything else (records within records,
wider unions, recursive types) is refused by name. A logical type not listed here is read as the type beneath.

Source: Avro 1.12 specification.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from k2app.avro import defaults
from k2app.avro.types import (
    LOGICAL,
    MISSING,
    PRIMITIVES,
    Array,
    AvroType,
    Decimal,
    Enum,
    Field,
    Fixed,
    Map,
    Nullable,
    Primitive,
    arrow_type,
)
from k2app.errors import OperatorError

MAX_SYMBOLS: Final = 128
"""Symbols of an enum: its Arrow indices are int8."""
MAX_DIGITS: Final = 38
"""Digits of a decimal: what decimal128 holds."""
MAX_FIXED_BYTES: Final = 65_536
"""Bytes of a fixed: every slice of records is padded by as many."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A record's full name, its other names, and its fields in the order they are written."""

    name: str
    fields: tuple[Field, ...]
    aliases: tuple[str, ...] = ()


def parse(schema: str | Mapping[str, Any]) -> Schema:
    """Read an Avro schema.

    Parameters
    ----------
    schema
        JSON text, or what `json.loads` makes of it.

    Raises
    ------
    OperatorError
        Not a record, or something outside the supported subset; names the field's path and the type.
    """
    raw = _load(schema) if isinstance(schema, str) else schema
    if not isinstance(raw, Mapping) or raw.get("type") != "record":
        raise _refusal("schema", raw, "the top level must be a record")
    scope = _Scope({}, _text(raw, "namespace", "schema"))
    name = scope.full_name(raw, "schema")
    scope = replace(scope, namespace=name.rpartition(".")[0])
    fields = tuple(_field(item, scope, name) for item in _items(raw, "fields", name))
    if len({item.name for item in fields}) < len(fields):
        raise _refusal(name, "fields", "a field's name stands twice")
    return Schema(name, fields, _aliases(raw, scope.namespace, name))


def arrow_schema(schema: Schema) -> Any:
    """The Arrow schema of decoded records: a field per Avro field, in order, nullable where a union says so."""
    return pa.schema([pa.field(f.name, arrow_type(f.type), nullable=f.nullable) for f in schema.fields])


@dataclass(frozen=True, slots=True)
class _Scope:
    """The types named so far (shared by all scopes of a schema) and the namespace in force."""

    named: dict[str, AvroType]
    namespace: str

    def full_name(self, raw: Mapping[str, Any], path: str) -> str:
        """A definition's full name: dotted as it stands, else within its own or the enclosing namespace."""
        name = _text(raw, "name", path)
        if not name:
            raise _refusal(path, raw, "a named type needs a name")
        return _qualify(name, _text(raw, "namespace", path) or self.namespace)

    def define(self, name: str, kind: AvroType, path: str) -> AvroType:
        if name in self.named:
            raise _refusal(path, name, "defined twice")
        self.named[name] = kind
        return kind

    def look_up(self, name: str, path: str) -> AvroType:
        """A type by name; a primitive's name cannot be taken."""
        if name in PRIMITIVES:
            return Primitive(name)
        found = self.named.get(_qualify(name, self.namespace)) or self.named.get(name)
        if found is None:
            raise _refusal(path, name, "not supported, or not defined before it is used")
        return found


def _field(raw: Any, scope: _Scope, record: str) -> Field:
    if not isinstance(raw, Mapping):
        raise _refusal(record, raw, "a field must be an object")
    name = _text(raw, "name", record)
    if not name or "type" not in raw:
        raise _refusal(record, raw, "a field needs a name and a type")
    kind = _type(raw["type"], scope, name)
    default = defaults.from_json(kind, raw["default"], name) if "default" in raw else MISSING
    return Field(name, kind, default, tuple(str(alias) for alias in raw.get("aliases", ())))


def _type(raw: Any, scope: _Scope, path: str) -> AvroType:  # noqa: PLR0911 - one per form
    if isinstance(raw, str):
        return scope.look_up(raw, path)
    if isinstance(raw, list):
        return _union(raw, scope, path)
    if not isinstance(raw, Mapping):
        raise _refusal(path, raw, "not an Avro type")
    match raw.get("type"):
        case "enum":
            return _enum(raw, scope, path)
        case "fixed":
            return _fixed(raw, scope, path)
        case "array" if "items" in raw:
            return Array(_type(raw["items"], scope, f"{path}[]"))
        case "map" if "values" in raw:
            return Map(_type(raw["values"], scope, f"{path}{{}}"))
        case str(name) if name in PRIMITIVES:
            return _primitive(raw, name, path)
        case "record" | "error" | "array" | "map" | None as name:
            raise _refusal(path, name, "not supported inside a record, or incomplete")
        case inner:
            return _type(inner, scope, path)


def _union(raw: list[Any], scope: _Scope, path: str) -> AvroType:
    others = [branch for branch in raw if branch not in ("null", {"type": "null"})]
    if len(raw) != 2 or len(others) != 1:  # noqa: PLR2004 - null and one other type
        raise _refusal(path, raw, "a union must be of null and one other type")
    inner = _type(others[0], scope, path)
    if isinstance(inner, Nullable):
        raise _refusal(path, raw, "a union within a union")
    return Nullable(inner, 1 - raw.index(others[0]))


def _primitive(raw: Mapping[str, Any], name: str, path: str) -> AvroType:
    logical = str(raw.get("logicalType"))
    if name == "bytes" and logical == "decimal":
        return Decimal(*_digits(raw, path))
    return Primitive(name, logical if (name, logical) in LOGICAL else None)


def _enum(raw: Mapping[str, Any], scope: _Scope, path: str) -> AvroType:
    name = scope.full_name(raw, path)
    symbols = tuple(str(symbol) for symbol in _items(raw, "symbols", path))
    default = raw.get("default")
    if len(symbols) > MAX_SYMBOLS or len(set(symbols)) < len(symbols):
        raise _refusal(path, f"enum {name}", f"{len(symbols)} symbols: at most {MAX_SYMBOLS}, each once")
    if default is not None and default not in symbols:
        raise _refusal(path, f"enum {name}", f"default {default!r} is not one of its symbols")
    return scope.define(name, Enum(name, symbols, default, _aliases(raw, scope.namespace, path)), path)


def _fixed(raw: Mapping[str, Any], scope: _Scope, path: str) -> AvroType:
    name = scope.full_name(raw, path)
    size = raw.get("size")
    if type(size) is not int or not 0 < size <= MAX_FIXED_BYTES:
        raise _refusal(path, f"fixed {name}", f"size {size!r} is not within 1..{MAX_FIXED_BYTES}")
    aliases = _aliases(raw, scope.namespace, path)
    if raw.get("logicalType") != "decimal":
        return scope.define(name, Fixed(name, size, aliases), path)
    return scope.define(name, _fixed_decimal(raw, name, size, aliases, path), path)


def _fixed_decimal(
    raw: Mapping[str, Any], name: str, size: int, aliases: tuple[str, ...], path: str
) -> Decimal:
    precision, scale = _digits(raw, path)
    if 10**precision > 2 ** (8 * size - 1):
        raise _refusal(path, f"decimal({precision}, {scale})", f"{size} bytes do not hold {precision} digits")
    return Decimal(precision, scale, size, name, aliases)


def _digits(raw: Mapping[str, Any], path: str) -> tuple[int, int]:
    """Precision and scale of a decimal."""
    precision, scale = raw.get("precision"), raw.get("scale", 0)
    shown = f"decimal({precision!r}, {scale!r})"
    if type(precision) is not int or not 0 < precision <= MAX_DIGITS:
        raise _refusal(path, shown, f"precision must be within 1..{MAX_DIGITS}")
    if type(scale) is not int or not 0 <= scale <= precision:
        raise _refusal(path, shown, "scale must be within 0..precision")
    return precision, scale


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise OperatorError(f"Avro schema is not JSON: {error}") from error


def _qualify(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _aliases(raw: Mapping[str, Any], namespace: str, path: str) -> tuple[str, ...]:
    return tuple(_qualify(str(alias), namespace) for alias in _items(raw, "aliases", path, optional=True))


def _text(raw: Mapping[str, Any], key: str, path: str) -> str:
    value = raw.get(key, "")
    if not isinstance(value, str):
        raise _refusal(path, raw, f"{key} must be text")
    return value


def _items(raw: Mapping[str, Any], key: str, path: str, *, optional: bool = False) -> list[Any]:
    value = raw.get(key, [] if optional else None)
    if not isinstance(value, list) or not (value or optional):
        raise _refusal(path, raw, f"{key} must be a list, and not empty")
    return value


def _refusal(path: str, got: object, why: str) -> OperatorError:
    return OperatorError(f"Avro schema, {path}: {got!r}: {why}")
