"""Exactly-once commits of one main table (trades, quotes, reference data) and its side tables.

Commit order of one flush; the main table's commit is the commit point:

1. `stage`: write the data files of dead letters, gaps and the main table, once;
2. `commit_dead_letters`, then `commit_gaps`;
3. `commit_main`: rows and the new floor in one snapshot.

(4. sequence states and 5. the acknowledgement are the caller's.)

A crash before 3 leaves side rows above the main floor. The flush that reads those offsets again compares its side
rows with them by coordinates, rather than skip them, since a verdict can change in between (an upgrade decodes what
failed before, or the reverse).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from k2app.errors import FencedError, OperatorError
from k2app.lake.catalog import load
from k2app.lake.commit import MILLISECOND_US, Addition, Commit, Outcome, Pace, Step, after_ms
from k2app.lake.evolution import check_grown
from k2app.lake.files import counts_by, delete_files, write_files
from k2app.lake.floors import FLOOR, Floors, Range, floor_in_force, summary_of
from k2app.lake.lineage import COUNT, RANGE, ROWS, Lineage, ranges_to_json
from k2app.lake.side import dead_letters_from, without_known
from k2app.lake.tables import SPECS, Name
from k2app.lake.turns import Turns
from k2app.settings import Settings

MAIN_TABLES: Final = frozenset({Name.TRADES, Name.QUOTES, Name.REFERENCE_DATA})
"""Tables that a topic feeds."""

Watch = Callable[[Name, Step], None]
"""Hears which table a step of a commit was for."""


def unwatched(_name: Name, _step: Step) -> None:
    """Watch nothing."""


DEFAULT_PACE: Final = Pace()
"""Attempts of one commit."""


@dataclass(frozen=True)
class Flush:
    """What one commit adds: rows of the main table, its dead letters and gap events, and the offsets they cover.

    The tables carry every column of `SPECS` but `committed_at` and `commit_id`.

    Raises
    ------
    ValueError
        There are no ranges, or two of one partition.
    """

    commit_id: str
    """Unique: made anew for every flush, kept for all attempts of it."""
    log_id: str
    rows: pa.Table
    dead_letters: pa.Table
    gaps: pa.Table
    ranges: tuple[Range, ...]

    def __post_init__(self) -> None:
        if not self.ranges or len({r.place for r in self.ranges}) != len(self.ranges):
            raise ValueError(f"a flush covers one range of each of its partitions, got {self.ranges}")
        if any(r.log_id != self.log_id for r in self.ranges):
            raise ValueError(f"a flush is of one log, {self.log_id}, got {self.ranges}")


@dataclass
class Part:
    """Rows of one table and the files that hold them."""

    name: Name
    table: Table
    rows: pa.Table
    files: list[DataFile]
    kept: bool = False
    """The files are committed, or may be: never delete them."""

    def keep(self) -> None:
        """Never delete the files from now on."""
        self.kept = True

    def delete(self) -> None:
        """Delete the files if it is known that nothing refers to them."""
        if not self.kept:
            delete_files(self.table, self.files)


@dataclass(frozen=True)
class Staged:
    """A flush whose data files are written and not committed."""

    flush: Flush
    committed_at_us: int
    """Knowledge time that the rows carry, UTC microseconds."""
    parts: dict[Name, Part]


@dataclass(frozen=True)
class Receipt:
    """A flush that is in the lake."""

    snapshot_id: int
    commit_id: str
    committed_at_us: int
    floors: Floors
    """Floors of the main table as of this snapshot."""


class Writer:
    """Writes one main table and its side tables. Not for use by several threads at once.

    Parameters
    ----------
    clock
        Now, UTC microseconds.
    watch
        Hears of every attempt of a commit.
    turns
        Shared by the writers of a process; None: this one has its own.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        main: Name,
        clock: Callable[[], int],
        *,
        pace: Pace = DEFAULT_PACE,
        watch: Watch = unwatched,
        turns: Turns | None = None,
    ) -> None:
        if main not in MAIN_TABLES:
            raise ValueError(f"{main} is not fed by a topic")
        self._catalog = catalog
        self._settings = settings
        self._main = main
        self._clock = clock
        self._pace = pace
        self._watch = watch
        self._turns = turns or Turns(settings.catalog_uri)
        self._tables: dict[Name, Table] = {}
        self.trouble: str | None = None
        """What a commit that is being tried again waits for; None: nothing."""

    def floors(self) -> Floors:
        """Floors of the main table, as they are now.

        Raises
        ------
        TransientError
            The catalog does not answer.
        """
        return floor_in_force(self._load(self._main).metadata)

    def dead_lettered(self, log_id: str, topic: str, partition: int, start: int) -> set[int]:
        """Offsets from `start` on that are in the dead letters already; they stay there, whatever decodes now.

        Cheap (no data is read) unless a flush was cut short after its step 2.
        """
        table = self._load(Name.DEAD_LETTERS)
        return dead_letters_from(table, log_id, topic, partition, start)

    def stage(self, flush: Flush) -> Staged:
        """Write the data files of all three tables (step 1). Nothing refers to them yet.

        Raises
        ------
        ValueError
            Columns are missing or do not fit.
        TransientError
            The catalog or the warehouse does not answer; what was written is deleted.
        """
        now_us = self._known_at_us()
        staged = Staged(flush, now_us, {})
        given = {Name.DEAD_LETTERS: flush.dead_letters, Name.GAPS: flush.gaps, self._main: flush.rows}
        try:
            for name, rows in given.items():
                staged.parts[name] = self._write(name, _stamped(rows, flush.commit_id, now_us))
        except BaseException:
            discard(staged)
            raise
        return staged

    def _known_at_us(self) -> int:
        """Now, or later than what the tables hold where the clock was set back; UTC microseconds.

        Of what others committed since this writer's last commit, nothing is known: their clocks and this one may
        differ by as much as those of two machines do.
        """
        tables = [
            self._tables.get(name) or self._load(name) for name in (Name.DEAD_LETTERS, Name.GAPS, self._main)
        ]
        return max(self._clock(), *(after_ms(table.metadata) * MILLISECOND_US for table in tables))

    def commit_dead_letters(self, staged: Staged) -> None:
        """Commit the dead letters that the lake does not have yet (step 2). Idempotent."""
        self._commit_side(staged, Name.DEAD_LETTERS)

    def commit_gaps(self, staged: Staged) -> None:
        """Commit the gap events that the lake does not have yet (step 2). Idempotent."""
        self._commit_side(staged, Name.GAPS)

    def commit_main(self, staged: Staged) -> Receipt:
        """Commit rows and floor (step 3): the commit point. Idempotent.

        Raises
        ------
        FencedError
            A partition's floor is not where the flush starts: the flush is void, its files are deleted.
        TransientError
            The time was up; nothing has landed, and the same call may be repeated.
        CommitUnknownError
            The time was up and the outcome is not known; repeat the same call before anything else.
        """
        outcome = self._commit(staged, self._main, lambda table: _main_addition(staged, self._main, table))
        if outcome.snapshot is None:
            raise AssertionError("a main addition is never empty")
        return Receipt(
            outcome.snapshot.snapshot_id,
            staged.flush.commit_id,
            staged.committed_at_us,
            Floors.from_json(summary_of(outcome.snapshot)[FLOOR]),
        )

    def _commit_side(self, staged: Staged, name: Name) -> None:
        if staged.parts[name].rows.num_rows > 0:
            self._commit(staged, name, lambda table: self._side_addition(staged, name, table))

    def _commit(self, staged: Staged, name: Name, decide: Callable[[Table], Addition | None]) -> Outcome:
        def keep() -> None:
            # The part of now: an attempt may have written the files anew, without what was there already.
            staged.parts[name].keep()

        commit = Commit(
            lambda: self._load(name),
            staged.flush.commit_id,
            self._pace,
            keep,
            self._note_trouble,
            staged.committed_at_us,
            lambda step: self._watch(name, step),
            lambda: self._turns.at(name),
        )
        try:
            outcome = commit.run(decide)
        except (FencedError, OperatorError):
            discard(staged)
            raise
        keep()
        # As it is now: the next flush is known later than this one.
        self._tables[name] = outcome.table
        return outcome

    def _side_addition(self, staged: Staged, name: Name, table: Table) -> Addition | None:
        # a fenced writer must not add side rows for offsets that somebody else has committed
        self.floors().check(staged.flush.ranges)
        part, ranges = staged.parts[name], staged.flush.ranges
        left = without_known(table, name, part.rows, ranges)
        if left.num_rows < part.rows.num_rows:
            part.delete()
            staged.parts[name] = part = self._write(name, left, kept=part.kept)
        if left.num_rows == 0:
            return None
        floors = floor_in_force(table.metadata).reach(ranges).to_json()
        return Addition(part.files, _summary(part.rows, ranges) | {FLOOR: floors}, {FLOOR: floors})

    def _note_trouble(self, trouble: str | None) -> None:
        self.trouble = trouble

    def _write(self, name: Name, rows: pa.Table, *, kept: bool = False) -> Part:
        # where and in which columns to write does not change from flush to flush; metadata takes long to load
        table = self._tables.get(name) or self._load(name)
        return Part(name, table, rows, write_files(table, SPECS[name], rows), kept)

    def _load(self, name: Name) -> Table:
        table = load(self._catalog, self._settings, name)
        # Another process may have given it columns: rows without them must not land in silence.
        check_grown(table, SPECS[name])
        self._tables[name] = table
        return table


def discard(staged: Staged) -> None:
    """Delete the staged files that are known not to be committed. Best effort."""
    for part in staged.parts.values():
        part.delete()


def _main_addition(staged: Staged, main: Name, table: Table) -> Addition:
    """Add the main rows to `table` in its present state.

    Raises
    ------
    FencedError
        The floor is not where the flush starts.
    """
    ranges, part = staged.flush.ranges, staged.parts[main]
    before = Lineage.in_force(table.metadata)
    before.floors.check(ranges)
    carried = before.after(ranges).properties()
    return Addition(part.files, _summary(part.rows, ranges) | carried, carried)


def _summary(rows: pa.Table, ranges: tuple[Range, ...]) -> dict[str, str]:
    counts = counts_by(rows["sequence_flag"]) if "sequence_flag" in rows.column_names else {}
    return {
        RANGE: ranges_to_json(ranges),
        ROWS: str(rows.num_rows),
        **{f"{COUNT}{flag}": str(count) for flag, count in counts.items()},
    }


def _stamped(rows: pa.Table, commit_id: str, now_us: int) -> pa.Table:
    """Rows with the columns that say when and in which commit they became known."""
    times: Any = pa.array(np.full(rows.num_rows, now_us, dtype=np.int64)).view(pa.timestamp("us", tz="UTC"))
    ids = pa.DictionaryArray.from_arrays(np.zeros(rows.num_rows, dtype=np.int8), pa.array([commit_id]))
    return rows.append_column("committed_at", times).append_column("commit_id", ids)
