"""What is known of the values in the files that a question reads."""

from __future__ import annotations

from k2app.query.reading.bounds import Known, bounds_of
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
    if len(found.versions[table].table.metadata.schemas) > 1:
        # A column may have had another name, or a name another column.
        return {}
    with reader.kept(found):
        return bounds_of(reader.scanner.bounds, (file.location for file in files))
