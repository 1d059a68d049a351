"""Looks at the parts of a lake, for health checks: whether the catalog answers, and the warehouse.

A table's metadata grows with its snapshots, to megabytes: what is asked every few seconds must not read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.table import Table

from k2app.errors import K2Error, OperatorError
from k2app.lake.catalog import answering, load, reading
from k2app.lake.observed import Observe, unobserved
from k2app.lake.table_cache import locations
from k2app.lake.tables import Name
from k2app.settings import Settings


@dataclass
class Looks:
    """Looks through one table. Blocking; each look is safe beside the other.

    What the warehouse is asked for changes with every commit, and what a REST catalog lends to ask it (credentials)
    runs out: the first is known from the last look at a catalog in a database; of others, both are taken anew when
    the answer is not good.
    """

    catalog_in_use: Catalog
    settings: Settings
    name: Name = Name.TRADES
    observe: Observe = unobserved
    """Hears of the requests that do not go through the catalog's own methods."""
    _seen: str | None = field(default=None, init=False)
    _lent: Table | None = field(default=None, init=False)

    def catalog(self) -> None:
        """Ask the catalog for the table: a line of a database, a HEAD of a REST catalog that has it.

        Raises
        ------
        TransientError, OperatorError
            It does not answer, or not as it should.
        """
        if isinstance(self.catalog_in_use, SqlCatalog):
            self._seen = self._location()
            return
        with answering(self._what):
            found = self.catalog_in_use.table_exists((self.settings.lake.namespace, self.name))
        if not found:
            raise self._missing()

    def warehouse(self) -> None:
        """Ask the warehouse whether it has the table's metadata.

        Raises
        ------
        TransientError, OperatorError
            It does not answer, or does not have it; or the catalog never said yet what to ask for.
        """
        if isinstance(self.catalog_in_use, SqlCatalog):
            location = self._seen or self._location()
            with reading("the warehouse"):
                io = load_file_io(self.catalog_in_use.properties, location)
            _ask(io, location)
            return
        if self._lent is not None:
            try:
                _ask(self._lent.io, self._lent.metadata_location)
            except K2Error:
                # Its credentials may have run out, and the file was replaced by newer ones: no sign of anything yet.
                self._lent = None
            else:
                return
        lent = load(self.catalog_in_use, self.settings, self.name)
        _ask(lent.io, lent.metadata_location)
        self._lent = lent

    @property
    def _what(self) -> str:
        return f"table {self.settings.lake.namespace}.{self.name}"

    def _missing(self) -> OperatorError:
        return OperatorError(f"{self._what} does not exist: run `k2 init`")

    def _location(self) -> str:
        """Metadata file in force, of a catalog in a database."""
        found = locations(self.catalog_in_use, self.settings.lake.namespace, self.observe).get(self.name)
        if found is None:
            raise self._missing()
        return found


def _ask(io: FileIO, location: str) -> None:
    with reading("the warehouse"):
        found = io.new_input(location).exists()
    if not found:
        raise OperatorError(f"the warehouse has no {location}: restore it, or mount it")
