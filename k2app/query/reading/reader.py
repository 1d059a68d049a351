"""What one query needs: its session, the snapshots, plans, and what is known of exchanges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from k2app.errors import GoneError, RequestError, TransientError
from k2app.lake.tables import Name
from k2app.market.exchanges import Exchange
from k2app.query.measures import Scan
from k2app.query.reading.filters import Filter, known_until, where
from k2app.query.reading.plan import DataFile, Planner
from k2app.query.reading.pool import Session
from k2app.query.reading.scan import Scanner
from k2app.query.reading.snapshots import Snapshots, SnapshotSet

TRADES = Name.TRADES.value
QUOTES = Name.QUOTES.value
GAPS = Name.GAPS.value
REFERENCE_DATA = Name.REFERENCE_DATA.value
LOADS = Name.LOADS.value


PAGE_OR_STREAM = "page with cursor, or ask for a form that streams"
"""What to do instead of a page that is too large."""


@dataclass(frozen=True)
class Reader:
    """One query's way to the lake."""

    session: Session
    snapshots: Snapshots
    planner: Planner
    scanner: Scanner
    exchanges: Mapping[str, Exchange]
    max_rows: int
    scan: Scan = field(default_factory=Scan)

    def check_limit(self, limit: int, way_out: str = "page with cursor") -> None:
        """Refuse a page of more rows than are allowed.

        Raises
        ------
        RequestError
            There are; says the way out.
        """
        if limit > self.max_rows:
            raise RequestError("limit", f"is at most {self.max_rows} (K2_QUERY_MAX_ROWS); {way_out}")

    def files(self, found: SnapshotSet, name: str, terms: Filter) -> tuple[DataFile, ...]:
        """Data files of a table that may hold matching rows."""
        version = found.versions[name]
        self.session.check()
        if version.snapshot is None:
            return ()
        with self.kept(found):
            files = self.planner.files(version.table, version.snapshot, terms)
        self.scan.add(files)
        return files

    def query(
        self,
        found: SnapshotSet,
        name: str,
        terms: Filter,
        body: str,
        parameters: Mapping[str, object] | None = None,
    ) -> pa.Table:
        """Run `body` over the matching rows of a table, which it sees as `matching`.

        Parameters
        ----------
        body
            SQL without any text of the request's; its values come in `parameters`.

        Returns
        -------
        Arrow table
            As `body` says; over no rows where the plan has no files.
        """
        known = (
            known_until(found.retracted_until_us, "recorded_at")
            if name == LOADS
            else known_until(found.cut_us(name))
        )
        terms = (*terms, *known)
        files = self.files(found, name, terms)
        with self.kept(found):
            relation = self.scanner.relation(found.versions[name], (file.location for file in files))
        condition, values = where(terms)
        sql = f"WITH matching AS (SELECT * FROM ({relation.sql}) WHERE {condition}) {body}"
        with self.kept(found):
            return self.session.fetch(sql, {**relation.parameters, **values, **(parameters or {})})

    @contextmanager
    def kept(self, found: SnapshotSet) -> Iterator[None]:
        """Tell a read that failed since its snapshot has expired from one that may succeed when it is tried again.

        Raises
        ------
        GoneError
            It has expired.
        """
        try:
            yield
        except TransientError as error:
            if type(error) is not TransientError:
                raise
            try:
                self.snapshots.check_kept(found)
            except GoneError as gone:
                raise gone from error
            raise
