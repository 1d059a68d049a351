"""Types of prices and quantities: those of the snapshot that answers, and the widest that a request may name."""

from __future__ import annotations

from typing import Any

from k2app.lake.tables import SPECS, Name
from k2app.query.reading.reader import TRADES, Reader
from k2app.query.reading.snapshots import SnapshotSet

NEWEST_PRICE = SPECS[Name.TRADES].arrow_schema.field("price").type
"""Type of a price in tables made now; an older snapshot may have fewer digits."""


def type_of(reader: Reader, found: SnapshotSet, column: str, table: str = TRADES) -> Any:
    """Arrow type of a column as the snapshot has it."""
    return reader.scanner.shape(found.versions[table]).arrow.field(column).type
