"""Rows that are found by a few columns first, and only then read whole.

A row group is decoded a column at a time, all of its rows at once. A question wants few of them: so time and what is
filtered by are read first, and every other column only of the row groups that hold rows of the answer. Arrow's reader
keeps texts as the dictionaries that they are in the files: a filter looks at each distinct text once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from k2app.lake.fileio import local_path
from k2app.query.reading.filters import Filter, known_until
from k2app.query.reading.footers import Footer, read_footer, unreadable
from k2app.query.reading.masks import can_mask, has_digits, mask
from k2app.query.reading.ordering import Ints, times_of
from k2app.query.reading.plan import DataFile
from k2app.query.reading.reader import Reader
from k2app.query.reading.scan import readable_path
from k2app.query.reading.snapshots import SnapshotSet
from k2app.query.reading.window_rows import DICTIONARIES

RUN_ROWS = 262_144
"""Rows of row groups that are decoded at once: some ten megabytes of the columns that are read first."""


@dataclass(frozen=True)
class Picked:
    """Rows of some row groups of one file.

    Parameters
    ----------
    rows
        Their places in the concatenation of the row groups.
    times_us
        Their times.
    """

    footer: Footer
    groups: tuple[int, ...]
    rows: Ints
    times_us: Ints

    def only(self, wanted: Ints | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Picked:
        """Some of the rows: a mask over them."""
        return Picked(self.footer, self.groups, self.rows[wanted], self.times_us[wanted])

    def touched(self) -> tuple[list[int], Ints]:
        """The row groups that hold rows, and the rows' places in the concatenation of these."""
        ends = np.cumsum([self.footer.rows(group) for group in self.groups])
        which = np.searchsorted(ends, self.rows, side="right")
        touched, place = np.unique(which, return_inverse=True)
        starts = np.concatenate([[0], ends])[touched]
        lengths = ends[touched] - starts
        shift = starts - np.concatenate([[0], np.cumsum(lengths)[:-1]])
        return [self.groups[n] for n in touched.tolist()], self.rows - shift[place]


@dataclass(frozen=True)
class Picker:
    """Reads rows of one table.

    Parameters
    ----------
    found, table
        Whose rows.
    terms
        Which rows; what the snapshot set leaves out is left out too.
    """

    reader: Reader
    found: SnapshotSet
    table: str
    terms: Filter

    def files(self) -> tuple[DataFile, ...] | None:
        """Files that may hold rows; None: these rows cannot be read this way.

        That is so where columns have other names or types in a file, of filters that only SQL knows, and of files that
        are not on this machine.
        """
        arrow = self.reader.scanner.shape(self.found.versions[self.table]).arrow
        if not can_mask(self._whole) or not all(has_digits(term, arrow) for term in self.terms):
            return None
        files = self.reader.files(self.found, self.table, self._whole)
        locations = [file.location for file in files]
        if any(local_path(location) is None for location in locations):
            # Of an object store DuckDB reads ahead, and several files at once.
            return None
        with self.reader.kept(self.found):
            is_plain = self.reader.scanner.is_plain(self.found.versions[self.table], locations)
        return files if is_plain else None

    def pick(self, files: Iterable[DataFile]) -> Iterator[Picked]:
        """Find the rows of some files, some row groups at a time.

        Raises
        ------
        TransientError
            A file could not be read.
        GoneError
            Its snapshot has expired.
        """
        for file in files:
            with self.reader.kept(self.found):
                footer = self._footer(readable_path(file.location))
                for run in _runs(footer, footer.matching(self._whole)):
                    self.reader.session.check()
                    yield _pick(footer, run, self._whole)

    def fetch(self, picked: Sequence[Picked], columns: Sequence[str]) -> pa.Table:
        """Read some columns of the rows that were picked, in the order in which they lie, each in one piece.

        Raises
        ------
        TransientError, GoneError
            As `pick`.
        """
        arrow = self.reader.scanner.shape(self.found.versions[self.table]).arrow
        schema = pa.schema([arrow.field(name) for name in columns])
        tables = []
        with self.reader.kept(self.found):
            for one in picked:
                self.reader.session.check()
                tables.append(_fetch(one, schema))
        return pa.concat_tables(tables).combine_chunks() if tables else schema.empty_table()

    @property
    def _whole(self) -> Filter:
        return (*self.terms, *known_until(self.found.cut_us(self.table)))

    def _footer(self, path: str) -> Footer:
        return self.reader.scanner.footers.get(path, lambda: read_footer(path))


def _runs(footer: Footer, groups: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """The row groups, some at a time."""
    run: list[int] = []
    held = 0
    for group in groups:
        if run and held + footer.rows(group) > RUN_ROWS:
            yield tuple(run)
            run, held = [], 0
        run.append(group)
        held += footer.rows(group)
    if run:
        yield tuple(run)


def _pick(footer: Footer, groups: tuple[int, ...], terms: Filter) -> Picked:
    undecided = footer.undecided(groups, terms)
    rows = _read(footer, groups, {"timestamp", *(term.column for term in undecided)})
    places = np.flatnonzero(mask(rows, undecided))
    return Picked(footer, groups, places, times_of(rows)[places])


def _fetch(picked: Picked, schema: pa.Schema) -> pa.Table:
    groups, places = picked.touched()
    if not groups:
        return schema.empty_table()
    rows = _read(picked.footer, groups, schema.names)
    # In the answer's types only once they are few.
    taken = rows.take(pa.array(places))
    columns = [
        taken[field.name] if taken[field.name].type == field.type else taken[field.name].cast(field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _read(footer: Footer, groups: Sequence[int], columns: Iterable[str]) -> pa.Table:
    names = list(columns)
    try:
        with pa.OSFile(footer.path) as source:
            file = pq.ParquetFile(
                source,
                metadata=footer.metadata,
                read_dictionary=[name for name in names if name in DICTIONARIES],
                pre_buffer=False,
            )
            # On this thread: it stands back behind ingestion, and others ask too.
            return file.read_row_groups(list(groups), columns=names, use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(error) from error
