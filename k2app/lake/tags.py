"""Tags: one name over a snapshot of every table, so that what was read can be read again after any expiry.

A commit is of one table, so a tag is not made in one step. The ledger of loads keeps a record of each tag, as a table
property (it is there even where no table has a snapshot yet): the *set* that the tag means, and its state.

Making a tag, each step idempotent, so that the same command takes up where one died:

1. the record, `making`;
2. an Iceberg tag of that name on each table's snapshot, in the order of `SPECS`: expiry keeps it from then on;
3. the record, `whole`.

Dropping one goes the other way: the record, `dropping`; the Iceberg tags; the record is removed.

A reader takes the set from the record, if it is `whole`, and checks that the Iceberg tags say the same.
Catalogs have no compare-and-set on properties, so two processes could each write a record of one name; the first
Iceberg tag is made under the condition that there is none, and lets one of them through. Whatever the other leaves
differs from the record, and is refused, never mixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table, Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update.snapshot import ManageSnapshots

from k2app.errors import OperatorError, TransientError
from k2app.lake.catalog import answering
from k2app.lake.catalog import load as load_table
from k2app.lake.commit import Pace
from k2app.lake.tables import SPECS, Name
from k2app.lake.tag_records import NAME, PREFIX, Ids, Tag, check_whole, find_tag, ref_of, tags_of
from k2app.settings import Settings


@dataclass(frozen=True)
class Made:
    """What became of `create`."""

    tag: Tag
    how: Literal["made", "finished", "there"]
    """Made anew; what an earlier attempt had begun was finished; it was there, with the same set."""


class _AgainError(Exception):
    """The table has changed under the commit: look again."""


@dataclass(frozen=True)
class Tags:
    """The tags of a lake."""

    catalog: Catalog
    settings: Settings
    pace: Pace = field(default_factory=Pace)

    def all(self) -> dict[str, Tag]:
        """Every tag by name, whole or not."""
        return tags_of(self._load(Name.LOADS))

    def create(self, name: str, meant: Callable[[], Ids], now_us: int, *, explicit: bool) -> Made:
        """Make a tag, or finish one that is half made. Idempotent.

        Parameters
        ----------
        meant
            The set; asked only if it is needed.
        explicit
            The caller named this very set: it must be what a tag of that name means. Otherwise it is the newest,
            and a half-made tag is finished with the set that it was begun with.

        Raises
        ------
        OperatorError
            The name is no name, or means another set; or a snapshot has expired meanwhile.
        TransientError
            The catalog does not answer, or others kept committing; the same call takes up from there.
        """
        if not NAME.fullmatch(name) or name == MAIN_BRANCH:
            raise OperatorError(
                f"{name!r} is no name for a tag: it takes a letter, then up to 63 letters, digits, '.', '_' and '-', "
                f"and is not {MAIN_BRANCH!r}"
            )
        begun = self.all().get(name)
        if begun is None:
            tag = Tag(name, dict(meant()), now_us)
            self._refuse_foreign(name)
            self._record(tag)
        else:
            tag = begun
            _refuse_other(tag, meant, explicit=explicit)
        if tag.state == "whole":
            return Made(tag, "there")
        self._pin(tag)
        self._finish(tag)
        return Made(replace(tag, state="whole"), "made" if begun is None else "finished")

    def drop(self, name: str) -> Tag:
        """Drop a tag, whole or not: from now on, expiry may take its snapshots. Takes up a drop that died.

        Raises
        ------
        OperatorError
            There is no such tag.
        TransientError
            The catalog does not answer; the same call takes up from there.
        """
        tag = find_tag(self._load(Name.LOADS), name)
        self._record(replace(tag, state="dropping"))
        for table_name in SPECS:
            self._until(table_name, lambda table: ref_of(table, name) is None, lambda tx: _unpin(tx, name))
        key = f"{PREFIX}{name}"
        self._until(
            Name.LOADS, lambda table: key not in table.properties, lambda tx: tx.remove_properties(key)
        )
        return tag

    def _pin(self, tag: Tag) -> None:
        for table_name in SPECS:
            meant = tag.snapshots.get(table_name)
            if meant is not None:
                self._pin_one(tag, table_name, meant)

    def _pin_one(self, tag: Tag, table_name: Name, snapshot_id: int) -> None:
        def holds(table: Table) -> bool:
            found = ref_of(table, tag.name)
            if found not in (None, snapshot_id):
                raise OperatorError(
                    f"tag {tag.name!r}: {table_name} has it at snapshot {found}, not at {snapshot_id}: another process "
                    f"makes a tag of that name; look at `k2 tag list`, `k2 tag drop {tag.name}` removes both"
                )
            if table.snapshot_by_id(snapshot_id) is None:
                raise OperatorError(
                    f"tag {tag.name!r}: snapshot {snapshot_id} of {table_name} has expired before it was tagged: "
                    f"`k2 tag drop {tag.name}`, and make it again"
                )
            return found is not None

        self._until(
            table_name, holds, lambda tx: ManageSnapshots(tx).create_tag(snapshot_id, tag.name).commit()
        )

    def _finish(self, tag: Tag) -> None:
        now = self.all().get(tag.name)
        if now is None or now.state == "dropping" or dict(now.snapshots) != dict(tag.snapshots):
            raise OperatorError(
                f"tag {tag.name!r} was changed by another process while it was made: look at `k2 tag list`"
            )
        self._record(replace(tag, state="whole"))

    def _record(self, tag: Tag) -> None:
        key, text = f"{PREFIX}{tag.name}", tag.text()
        self._until(
            Name.LOADS,
            lambda table: table.properties.get(key) == text,
            lambda tx: tx.set_properties({key: text}),
        )

    def _refuse_foreign(self, name: str) -> None:
        for table_name in SPECS:
            if name in self._load(table_name).metadata.refs:
                raise OperatorError(
                    f"{table_name} has a branch or tag {name!r} that K2 did not make: choose another name"
                )

    def _until(
        self, name: Name, holds: Callable[[Table], bool], change: Callable[[Transaction], object]
    ) -> None:
        """Change a table until something holds; a commit that met another one, or got no answer, is looked after."""
        try:
            for attempt in self.pace.attempts((_AgainError, TransientError)):
                with attempt:
                    self._attempt(name, holds, change)
        except _AgainError as error:
            raise TransientError(
                f"{name} kept changing for {self.pace.within_s} s; try again: {error}"
            ) from error

    def _attempt(
        self, name: Name, holds: Callable[[Table], bool], change: Callable[[Transaction], object]
    ) -> None:
        table = self._load(name)
        if holds(table):
            return
        transaction = table.transaction()
        try:
            with answering(f"table {name}"):
                change(transaction)
                transaction.commit_transaction()
        except (CommitFailedException, ValueError) as error:
            # ValueError: a snapshot expired between the look and the commit; the next look says so.
            raise _AgainError(str(error)) from error

    def _load(self, name: Name) -> Table:
        return load_table(self.catalog, self.settings, name)


def _refuse_other(tag: Tag, meant: Callable[[], Ids], *, explicit: bool) -> None:
    """Refuse a name that means something else, or is on its way out."""
    if tag.state == "dropping":
        check_whole(tag)
    if (explicit or tag.state == "whole") and dict(meant()) != dict(tag.snapshots):
        half = ", half made" if tag.state == "making" else ""
        raise OperatorError(
            f"tag {tag.name!r} is there{half}, and means another set: choose another name, or "
            f"`k2 tag drop {tag.name}` first"
        )


def _unpin(transaction: Transaction, name: str) -> None:
    ManageSnapshots(transaction).remove_tag(name).commit()
