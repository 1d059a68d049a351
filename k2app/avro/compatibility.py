"""Whether a new schema reads everything that an older one wrote: the rule BACKWARD of schema registries.

`resolve.project` asks whether some records can be read, and fails the others one by one; here no value may fail.

Source: Avro 1.12 specification, "Schema Resolution"; Confluent schema registry, "Compatibility types". Stricter: a
decimal may not lose digits.
"""

from __future__ import annotations

from k2app.avro.resolve import project
from k2app.avro.schema import Schema
from k2app.avro.types import MISSING, Array, AvroType, Decimal, Enum, Map, is_nullable, unwrap
from k2app.errors import RecordError


def incompatibility(older: Schema, newer: Schema) -> str | None:
    """Why `newer` does not read all that `older` wrote, naming the field; None: it does."""
    written = {field.name for field in older.fields}
    for field in newer.fields:
        if field.default is MISSING and not written & {field.name, *field.aliases}:
            return f"field {field.name}: records of before have none, and there is no default"
    try:
        found = project(older, newer)
    except RecordError as error:
        return str(error)
    pairs = zip(newer.fields, found.sources, strict=True)
    reasons = (
        _lost(older.fields[source].type, field.type, field.name)
        for field, source in pairs
        if source is not None
    )
    return next((reason for reason in reasons if reason is not None), None)


def _lost(older: AvroType, newer: AvroType, path: str) -> str | None:
    """Why some value of a type that can be read in general cannot."""
    if is_nullable(older) and not is_nullable(newer):
        return f"field {path}: may be null in records of before, and must not be any more"
    match unwrap(older), unwrap(newer):
        case (Array(inner), Array(wanted)) | (Map(inner), Map(wanted)):
            return _lost(inner, wanted, f"{path}[]")
        case Enum(symbols=symbols), Enum(symbols=known, default=None) if set(symbols) - set(known):
            gone = ", ".join(sorted(set(symbols) - set(known)))
            return f"field {path}: the symbols {gone} are gone, and there is no default"
        case Decimal() as before, Decimal() as now if (
            before.precision - before.scale > now.precision - now.scale
        ):
            return (
                f"field {path}: decimal({before.precision}, {before.scale}) does not fit "
                f"decimal({now.precision}, {now.scale})"
            )
    return None
