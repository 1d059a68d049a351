"""Tables that grow with the schemas: columns are added, decimals widened in place, anything else is refused.

Metadata only: no data file is touched and no snapshot is made, so floors and lineage stay as they are, and every
snapshot keeps the schema that it was committed under.

Source: Iceberg specification, "Schema Evolution" (decimal(P, S) to decimal(P2, S) where P2 > P).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DecimalType, IcebergType, NestedField

from k2app.errors import OperatorError
from k2app.lake.tables import TableSpec

WAY_OUT = (
    "restore it in schemas/ (a new version may add nullable fields and widen decimals), or load into another "
    "namespace (K2_LAKE_NAMESPACE)"
)
"""What to do about a change that tables do not take."""


@dataclass(frozen=True)
class Growth:
    """What a table lacks to hold what is written now."""

    added: tuple[NestedField, ...] = ()
    widened: tuple[NestedField, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.widened)

    def __str__(self) -> str:
        parts = [f"column {f.name} ({f.field_type})" for f in self.added]
        return ", ".join(parts + [f"column {f.name} as {f.field_type}" for f in self.widened])


def growth(spec: TableSpec, present: Schema) -> Growth:
    """What must change in a table so that it has the columns of `spec`.

    Raises
    ------
    OperatorError
        Something that cannot be changed in place: a column that is narrower, of another scale or type, no longer
        required, or not there any more.
    """
    there = {field.name: field for field in present.fields}
    wanted = {field.name: field for field in spec.schema.fields}
    for name in there.keys() - wanted.keys():
        raise OperatorError(
            f"table {spec.name} has the column {name} ({there[name].field_type}), which this program's schemas do "
            "not: a newer version of K2 added it, or another program; use that version here too. If the "
            f"field was taken out of the schemas, {WAY_OUT}"
        )
    common = [(there[name], wanted[name]) for name in wanted if name in there]
    widened = tuple(new for old, new in common if _is_wider(spec, old, new))
    return Growth(tuple(field for name, field in wanted.items() if name not in there), widened)


def grow(table: Table, spec: TableSpec) -> Growth:
    """Add the columns that are missing, at the end, and widen decimals; idempotent.

    Raises
    ------
    OperatorError
        As of `growth`.
    CommitFailedException
        Another process changed the table meanwhile.
    """
    found = growth(spec, table.schema())
    if found:
        with table.update_schema() as update:
            for field in found.added:
                update.add_column(field.name, field.field_type, doc=field.doc)
            for field in found.widened:
                update.update_column(field.name, field.field_type)
    return found


def check_grown(table: Table, spec: TableSpec) -> None:
    """Check that a table has the columns of `spec`, no more and no less.

    Raises
    ------
    OperatorError
        It is behind (run `k2 init`), or ahead: what newer messages say would be cut off without a word.
    """
    missing = growth(spec, table.schema())
    if missing:
        raise OperatorError(
            f"table {'.'.join(table.name())} lacks {missing}: run `k2 init`, which adds it in place"
        )


def _is_wider(spec: TableSpec, old: NestedField, new: NestedField) -> bool:
    """Whether a column must be widened.

    Raises
    ------
    OperatorError
        It would have to become something else.
    """
    if old.required and not new.required:
        raise OperatorError(
            f"table {spec.name}, column {old.name}: it is required, and the newest schema has it nullable or not at "
            f"all: {WAY_OUT}"
        )
    if _arrow(old.field_type) == _arrow(new.field_type):
        return False
    match old.field_type, new.field_type:
        case DecimalType(scale=old_scale, precision=held), DecimalType(scale=scale, precision=wanted) if (
            scale == old_scale and wanted > held
        ):
            return True
    raise OperatorError(
        f"table {spec.name}, column {old.name}: it is {old.field_type}, and the newest schema says {new.field_type}; "
        f"only a decimal may change, to more digits of the same scale. If a newer version of K2 widened it, use that "
        f"version here too; else {WAY_OUT}"
    )


def _arrow(kind: IcebergType) -> Any:
    """The type without the ids of what is nested in it."""
    return schema_to_pyarrow(Schema(NestedField(1, "x", kind)), include_field_ids=False).field(0).type
