"""Tables as the catalog has them, parsed once per version.

A table's metadata is a file that never changes; the catalog says which file is in force. Reading that one line for all
tables costs a fraction of a millisecond, parsing three files again ten.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import Table
from sqlalchemy import select

from k2app.lake.catalog import answering, load
from k2app.lake.observed import LIST_LOCATIONS, Observe, observing, unobserved
from k2app.lake.tables import Name
from k2app.settings import Settings


@dataclass(frozen=True)
class TableCache:
    """The tables that were loaded last; safe between threads.

    Catalogs other than SQL ones are asked for each table, every time.
    """

    catalog: Catalog
    settings: Settings
    observe: Observe = unobserved
    """Hears of the requests that do not go through the catalog's own methods."""
    _kept: dict[str, Table] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, names: Iterable[str]) -> dict[str, Table]:
        """Load tables with their newest metadata, none older than those named before it. They must not be changed.

        Raises
        ------
        OperatorError
            There is no such table, its format is not this program's, or its metadata file is gone.
        TransientError
            The catalog or the warehouse does not answer.
        """
        in_force = self._locations()
        found: dict[str, Table] = {}
        for name in names:
            found[name] = self._table(name, in_force.get(name))
            if in_force.get(name) not in (None, found[name].metadata_location):
                # It has changed since the look, and so may those that follow have.
                in_force = self._locations()
        return found

    def _table(self, name: str, location: str | None) -> Table:
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None and kept.metadata_location == location:
            return kept
        found = load(self.catalog, self.settings, Name(name))
        with self._lock:
            self._kept[name] = found
        return found

    def _locations(self) -> dict[str, str]:
        return locations(self.catalog, self.settings.lake.namespace, self.observe)


def locations(catalog: Catalog, namespace: str, observe: Observe) -> dict[str, str]:
    """Metadata file in force by table; of none where the catalog is no SQL one.

    Raises
    ------
    TransientError, OperatorError
        The database does not answer, or refuses.
    """
    if not isinstance(catalog, SqlCatalog):
        return {}
    asked = select(IcebergTables.table_name, IcebergTables.metadata_location).where(
        IcebergTables.catalog_name == catalog.name, IcebergTables.table_namespace == namespace
    )
    request = observing(observe, LIST_LOCATIONS)
    with answering(f"namespace {namespace}"), request, catalog.engine.connect() as connection:
        return {row.table_name: row.metadata_location for row in connection.execute(asked)}
