"""Looks at the parts of a lake, for health checks: whether the catalog answers, and the warehouse."""

from __future__ import annotations

from collections.abc import Callable

from pyiceberg.table import Table

from k2app.errors import OperatorError
from k2app.lake.catalog import reading


class Looks:
    """Looks through one table. Blocking; each look is safe beside the other.

    Parameters
    ----------
    load
        Loads the table anew; raises K2Error.
    """

    def __init__(self, load: Callable[[], Table]) -> None:
        self._load = load
        self._seen: Table | None = None

    def catalog(self) -> None:
        """Ask the catalog for the table.

        Raises
        ------
        TransientError, OperatorError
            It does not answer, or not as it should. Catalogs in a database keep the tables' metadata in the
            warehouse, which has to answer then, too.
        """
        self._seen = self._load()

    def warehouse(self) -> None:
        """Ask the warehouse for the table's metadata, where it was when the catalog was last asked.

        Raises
        ------
        TransientError, OperatorError
            It does not answer, or does not have it.
        """
        table = self._seen or self._load()
        with reading("the warehouse"):
            found = table.io.new_input(table.metadata_location).exists()
        if not found:
            raise OperatorError(f"the warehouse has no {table.metadata_location}: restore it, or mount it")
