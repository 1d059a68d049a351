"""What is known of the values in the files that a question reads."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.schema import Schema

from k2app.query.reading.bounds import COLUMNS, Known, bounds_of
from k2app.query.reading.filters import Filter
from k2app.query.reading.reader import Reader
from k2app.query.reading.snapshots import SnapshotSet


def file_bounds(reader: Reader, found: SnapshotSet, table: str, terms: Filter) -> Known:
    """Bounds of the values in the files that may hold some rows of a table.

    Raises
    ------
    TransientError
        A footer could not be read.
    """
    files = reader.files(found, table, terms)
    if not _same_columns(found.versions[table].table.schemas().values()):
        # A column may have had another name, or a name another column.
        return {}
    with reader.kept(found):
        return bounds_of(reader.scanner.bounds, (file.location for file in files))


def _same_columns(schemas: Iterable[Schema]) -> bool:
    """Whether the columns that bounds are kept of were the same, under the same names, in all of a table's schemas."""
    names = {path.partition(".")[0] for path in COLUMNS}
    return (
        len(
            {
                tuple((f.name, f.field_id, str(f.field_type)) for f in s.fields if f.name in names)
                for s in schemas
            }
        )
        == 1
    )
