"""One commit to one table: compare-and-set, with conflicts and unknown outcomes told apart.

Each attempt:

1. load the table anew;
2. look for our commit id: an earlier attempt may have landed;
3. decide what to add, against this state (a fenced writer stops here);
4. stage the append of files already written, its summary, and the mirrored table properties, in one transaction;
5. commit, on condition that the main branch is still where step 1 saw it.

`CommitFailedException` is a conflict: known not to have landed; wait, go round. Whatever else step 5 raises leaves
the outcome unknown: go round too (steps 1 and 2 find out), and from then on delete nothing. Going round is safe even
if the request is still on its way: whichever of the two lands second fails its condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import stamina
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate, update_table_metadata

from k2app import logs
from k2app.errors import CommitUnknownError, TransientError
from k2app.lake.catalog import reading
from k2app.lake.files import delete_paths
from k2app.lake.floors import lineage_of, summary_of
from k2app.lake.lineage import COMMIT_ID

MILLISECOND_US = 1_000
"""Microseconds of a millisecond: Iceberg times snapshots in these."""


@dataclass(frozen=True)
class Pace:
    """How long and how often a commit is tried."""

    within_s: float = 60.0
    """Seconds after which a commit is given up: twenty workers at 0.1 s a commit conflict for seconds, not minutes."""
    first_wait_s: float = 0.05
    """Seconds before the second attempt; doubles with each. About the time of one commit."""
    longest_wait_s: float = 0.5
    """Most seconds between two attempts: who waits longer than the others take for a commit comes too late again."""
    jitter_s: float = 0.1
    """Up to so many seconds are added at random, so that writers that collided once do not again."""

    def attempts(self, on: tuple[type[Exception], ...]) -> Iterable[stamina.Attempt]:
        """Try again, at this pace, after these errors; `with` each attempt."""
        return stamina.retry_context(
            on=on,
            attempts=None,
            timeout=self.within_s,
            wait_initial=self.first_wait_s,
            wait_max=self.longest_wait_s,
            wait_jitter=self.jitter_s,
        )


@dataclass(frozen=True)
class Addition:
    """What one snapshot adds."""

    files: Sequence[DataFile]
    summary: Mapping[str, str]
    """Summary properties; the commit id is added."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Table properties set in the same transaction."""


@dataclass(frozen=True)
class Outcome:
    """How a commit ended."""

    table: Table
    """As of the commit, or of the look that found it."""
    snapshot: Snapshot | None
    """The snapshot that holds the addition; None if there was nothing to add."""


Decide = Callable[[Table], Addition | None]
"""Says what to add to a table in this state; None: nothing. Raises `FencedError` to stop."""


Step = Literal["attempt", "conflict", "doubt"]
"""What happened to a commit: it was tried, another one came first, its outcome is not known."""


class _AgainError(Exception):
    """Go round."""


class Commit:
    """One addition to one table, under an id by which it is found again.

    Parameters
    ----------
    load
        Loads the table anew.
    commit_id
        Id of this addition, unique in the table's history.
    on_doubt
        Called before anything else when an attempt's outcome is unknown: its data files must never be deleted.
    on_trouble
        Called with what went wrong when it is going to be tried again, with None when it has gone well.
    not_before_us
        Time that its snapshot carries at least, UTC microseconds.
    on_step
        Called at every step that is worth counting.
    turn
        Held during each attempt.
    """

    def __init__(
        self,
        load: Callable[[], Table],
        commit_id: str,
        pace: Pace,
        on_doubt: Callable[[], None],
        on_trouble: Callable[[str | None], None] | None = None,
        not_before_us: int = 0,
        on_step: Callable[[Step], None] | None = None,
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._load = load
        self._turn = turn
        self._commit_id = commit_id
        self._pace = pace
        self._on_doubt = on_doubt
        self._on_trouble = on_trouble or (lambda _: None)
        self._on_step = on_step or (lambda _: None)
        self._not_before_ms = -(-not_before_us // MILLISECOND_US)
        self._in_doubt = False
        self._manifests: dict[int, list[str]] = {}

    def run(self, decide: Decide) -> Outcome:
        """Commit what `decide` says. Idempotent: an addition that has landed is found, not repeated.

        Raises
        ------
        TransientError
            Conflicts or an unreachable catalog until the time was up; nothing has landed.
        CommitUnknownError
            The time is up and an attempt's outcome is still not known; `run` again finds out.
        FencedError
            Raised by `decide`.
        """
        try:
            for attempt in self._pace.attempts((_AgainError, TransientError)):
                with attempt:
                    return self._watched(decide)
        except (_AgainError, TransientError) as error:
            raise self._given_up(error) from error
        raise AssertionError("retry_context returns or raises")  # pragma: no cover - for the type checker

    def _watched(self, decide: Decide) -> Outcome:
        try:
            with self._turn():
                outcome = self._attempt(decide)
        except _AgainError as error:
            # A conflict is no trouble: others commit.
            self._on_trouble(None if isinstance(error.__cause__, CommitFailedException) else str(error))
            raise
        except TransientError as error:
            self._on_trouble(str(error))
            raise
        self._on_trouble(None)
        return outcome

    def _attempt(self, decide: Decide) -> Outcome:
        self._on_step("attempt")
        table = self._load()
        landed = find_commit(table, self._commit_id)
        if landed is not None:
            return Outcome(table, landed)
        addition = decide(table)
        if addition is None:
            return Outcome(table, None)
        with reading(f"manifests of {'.'.join(table.name())}"):
            transaction = self._stage(table, addition)
        table = self._send(table, transaction)
        self._delete_manifests_of_conflicts(table)
        return Outcome(table, find_commit(table, self._commit_id))

    def _stage(self, table: Table, addition: Addition) -> Transaction:
        """Write manifests and manifest list; the table itself is not touched yet."""
        transaction = _Transaction(table)
        transaction.not_before_ms = max(self._not_before_ms, after_ms(table.metadata))
        if addition.properties:
            transaction.set_properties(dict(addition.properties))
        summary = {**addition.summary, COMMIT_ID: self._commit_id}
        with transaction.update_snapshot(snapshot_properties=summary).fast_append() as append:
            for file in addition.files:
                append.append_data_file(file)
        # pyiceberg would delete the manifests on a conflict; but a request repeated on its way (by a proxy) is
        # answered with a conflict with itself, and then they are the table's
        transaction._snapshot_producers.clear()  # noqa: SLF001 - no public way to keep them
        self._manifests[append.snapshot_id] = [*append._written_manifests, *append._written_manifest_lists]  # noqa: SLF001 - nor to name them
        return transaction

    def _send(self, table: Table, transaction: Transaction) -> Table:
        name = ".".join(table.name())
        log = logs.get(__name__).bind(table=name, commit_id=self._commit_id)
        try:
            return transaction.commit_transaction()
        except CommitFailedException as error:
            self._on_step("conflict")
            log.info("commit_conflict")
            raise _AgainError(f"{name}: {error}") from error
        except Exception as error:  # every catalog raises its own; none of them says that nothing landed
            # Said once: a catalog that is away is asked dozens of times.
            (log.debug if self._in_doubt else log.warning)("commit_unknown", error=repr(error))
            self._in_doubt = True
            self._on_step("doubt")
            self._on_doubt()
            raise _AgainError(f"{name}: {error!r}") from error

    def _delete_manifests_of_conflicts(self, table: Table) -> None:
        """Delete what attempts wrote that can never land, now that another one has. Best effort."""
        if self._in_doubt:
            return
        for snapshot_id, paths in self._manifests.items():
            if table.snapshot_by_id(snapshot_id) is None:
                delete_paths(table, paths)

    def _given_up(self, error: Exception) -> Exception:
        if self._in_doubt:
            return CommitUnknownError(
                f"commit {self._commit_id} was sent and not found within {self._pace.within_s} s: {error}"
            )
        if isinstance(error, TransientError):
            return error
        return TransientError(f"no commit within {self._pace.within_s} s, others were faster: {error}")


class _Transaction(Transaction):
    """pyiceberg's transaction with snapshots in order, and without most of its deep copies of the metadata.

    Those are fifteen a commit, 10 ms each at 300 snapshots. Snapshots carry the time of the machine, which may have
    been set back: a catalog would refuse them (Source: Iceberg specification, "Snapshots": timestamps of the snapshot
    log), and `as_of` would pass over rows.
    """

    _applied: tuple[tuple[TableUpdate, ...], TableMetadata] | None = None
    not_before_ms = 0
    """Time that a snapshot carries at least."""

    def _stage(
        self, updates: tuple[TableUpdate, ...], requirements: tuple[TableRequirement, ...] = ()
    ) -> Transaction:
        return super()._stage(tuple(self._in_order(update) for update in updates), requirements)

    def _in_order(self, update: TableUpdate) -> TableUpdate:
        if not isinstance(update, AddSnapshotUpdate) or update.snapshot.timestamp_ms >= self.not_before_ms:
            return update
        snapshot = update.snapshot.model_copy(update={"timestamp_ms": self.not_before_ms})
        return update.model_copy(update={"snapshot": snapshot})

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with what was staged so far."""
        if not self._updates:
            return self._table.metadata
        if self._applied is None or self._applied[0] is not self._updates:
            self._applied = self._updates, update_table_metadata(self._table.metadata, self._updates)
        return self._applied[1]


def after_ms(metadata: TableMetadata) -> int:
    """Time that the next snapshot of a table carries at least, UTC milliseconds: later than all that was done to it."""
    newest = metadata.current_snapshot()
    return 0 if newest is None else max(newest.timestamp_ms, metadata.last_updated_ms) + 1


def find_commit(table: Table, commit_id: str) -> Snapshot | None:
    """Snapshot of the main branch that was committed under `commit_id`."""
    return next((s for s in lineage_of(table.metadata) if summary_of(s).get(COMMIT_ID) == commit_id), None)
