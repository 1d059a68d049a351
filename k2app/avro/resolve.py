"""Whether what a writer wrote can be read as a reader wants it, decided once per pair of schemas.

Source: Avro 1.12 specification, "Schema Resolution". Stricter: logical types must be the same, and a decimal's
scale may grow but not shrink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from k2app.avro.schema import Schema
from k2app.avro.types import (
    MISSING,
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
    unwrap,
)
from k2app.errors import RecordError

_PROMOTIONS: Final = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    }
)


@dataclass(frozen=True, slots=True)
class Projection:
    """How one writer's records become the reader's.

    `targets[i]`: the type to read the writer's field i as (its own if the reader has no such field).
    `sources[j]`: the writer's field that the reader's field j comes from, or None: its default.
    """

    writer: Schema
    reader: Schema
    targets: tuple[AvroType, ...]
    sources: tuple[int | None, ...]


def project(writer: Schema, reader: Schema) -> Projection:
    """Match fields by name (then by the reader's aliases) and check every match.

    Raises
    ------
    RecordError
        No record of this writer can be read; names the field and both types.
    """
    if not _same_name(writer, reader):
        raise RecordError(f"record {writer.name} is not {reader.name}")
    places = {field.name: place for place, field in enumerate(writer.fields)}
    sources = tuple(_source(field, places) for field in reader.fields)
    targets = [field.type for field in writer.fields]
    for field, source in zip(reader.fields, sources, strict=True):
        if source is not None:
            _check(targets[source], field.type, field.name)
            targets[source] = field.type
    return Projection(writer, reader, tuple(targets), sources)


def _source(field: Field, places: dict[str, int]) -> int | None:
    """The place of the writer's field; a reader's nullable field does without, and is null."""
    for name in (field.name, *field.aliases):
        if name in places:
            return places[name]
    if field.default is MISSING and not field.nullable:
        raise RecordError(f"field {field.name}: the writer has none, and there is no default")
    return None


def _check(writer: AvroType, reader: AvroType, path: str) -> None:
    """Nullability is checked per value: a null for a reader that takes none fails its record only."""
    if writer == Primitive("null") and isinstance(reader, Nullable):
        return
    match unwrap(writer), unwrap(reader):
        case (Array(inner), Array(wanted)) | (Map(inner), Map(wanted)):
            _check(inner, wanted, f"{path}[]")
        case w, r:
            if not _readable(w, r):
                raise RecordError(f"field {path}: {_show(w)} cannot be read as {_show(r)}")


def _readable(writer: AvroType, reader: AvroType) -> bool:
    match writer, reader:
        case Primitive(name, None), Primitive(wanted, None):
            return name == wanted or (name, wanted) in _PROMOTIONS
        case Decimal(size=None), Decimal(size=None):
            return writer.scale <= reader.scale
        case Decimal(size=int()), Decimal(size=int()):
            return writer.size == reader.size and writer.scale <= reader.scale and _same_name(writer, reader)
        case (Fixed(), Fixed()):
            return writer.size == reader.size and _same_name(writer, reader)
        case (Enum(), Enum()):
            return _same_name(writer, reader)
    return writer == reader


def _same_name(writer: Schema | Enum | Fixed | Decimal, reader: Schema | Enum | Fixed | Decimal) -> bool:
    """Names match without their namespaces, or the writer's is an alias of the reader's."""
    last = str(writer.name).rpartition(".")[2]
    return last == str(reader.name).rpartition(".")[2] or writer.name in reader.aliases


def _show(kind: AvroType) -> str:
    name = getattr(kind, "name", None)
    return f"{name or type(kind).__name__.lower()} ({arrow_type(kind)})"
