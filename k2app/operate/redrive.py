"""Sending dead letters again, once what made them unreadable is mended: a schema, a set-up, or the bytes themselves.

1. find the letters, and what became of them before: what was sent again is not sent twice unasked;
2. decide of each, with the schemas of now and as the worker would, whether it can be read; what cannot stays;
3. write the rest down in the ledger of loads, by compare-and-set: a redrive is a load with the profile `redrive`;
4. publish them to the topic they came from, under the same key, with the load's id in them: so rows in the lake are
   told by it, and `k2 retract` withdraws them;
5. write down where they are.

A redrive that dies between 3 and 5 leaves its letters `begun`: rows of its load id say whether they are on the log.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog

from k2app.errors import OperatorError, TransientError
from k2app.ingest.rows import Source
from k2app.ingest.schema_cache import SchemaCache
from k2app.lake.redriven import REDRIVE, Coordinates, named, places_of
from k2app.load import ledger
from k2app.load.ledger import LoadEntry, Sent
from k2app.load.reservations import Reservations
from k2app.operate.letters import KEY, Letter, Selection, find_letters, judge
from k2app.settings import Settings
from k2app.stream.publisher import Outlet, Publisher
from k2app.topology import Topics


@dataclass
class Report:
    """What became of the letters, or would become of them."""

    sent: dict[str, list[Letter]] = field(default_factory=dict)
    """By load id; by topic where nothing was sent."""
    refused: list[tuple[Letter, str]] = field(default_factory=list)
    """Those that still cannot be read, with the reason of now."""
    before: list[tuple[Letter, str]] = field(default_factory=list)
    """Those left out, since the load of this id sent them, or was at it."""


@dataclass(frozen=True)
class Redriver:
    """Sends dead letters of one lake to one log.

    Parameters
    ----------
    outlet
        Where the letters of a topic go.
    clock
        Now, UTC.
    """

    catalog: Catalog
    settings: Settings
    served: Topics
    schemas: SchemaCache
    publisher: Publisher
    outlet: Callable[[str], Outlet]
    reservations: Reservations
    clock: Callable[[], datetime]

    def redrive(self, asked: Selection, corrected: bytes | None = None, *, dry_run: bool = False) -> Report:
        """Send letters again.

        Parameters
        ----------
        corrected
            What the value of the one letter should have been.
        dry_run
            Only decide.

        Raises
        ------
        OperatorError
            There are no such letters, more than one has a corrected value, or Kafka did not confirm them.
        TransientError
            Log or catalog do not answer; topics before were sent.
        """
        letters = self._letters(asked, corrected)
        report = Report()
        for topic, inside in _by(letters, lambda letter: letter.place.topic).items():
            open_letters = self._open(inside, asked, report)
            good, rows = self._judge(topic, open_letters, report)
            for log_id in sorted({letter.place.log_id for letter in good}):
                mine = np.array([letter.place.log_id == log_id for letter in good])
                chosen = [letter for letter in good if letter.place.log_id == log_id]
                if dry_run:
                    report.sent.setdefault(topic, []).extend(chosen)
                else:
                    load_id = self._send(topic, chosen, rows.filter(pa.array(mine)), asked)
                    report.sent[load_id] = chosen
        return report

    # --- 1. finding

    def _letters(self, asked: Selection, corrected: bytes | None) -> list[Letter]:
        found = find_letters(self.catalog, self.settings, asked)
        if not found:
            raise OperatorError(
                "there are no such dead letters; `k2-query dead-letters` lists those there are"
            )
        if corrected is None:
            return found
        if len(found) != 1:
            raise OperatorError(
                f"a corrected value is of one dead letter, and {len(found)} were chosen: give TOPIC/PARTITION/OFFSET"
            )
        return [replace(found[0], value=corrected)]

    def _open(self, letters: list[Letter], asked: Selection, report: Report) -> list[Letter]:
        before = {} if asked.again else sent_before(ledger.entries(self.reservations.rows()))
        report.before += [(one, before[one.place]) for one in letters if one.place in before]
        return [one for one in letters if one.place not in before]

    # --- 2. deciding

    def _judge(self, topic: str, letters: list[Letter], report: Report) -> tuple[list[Letter], pa.Table]:
        """Letters that can be read, and their records."""
        if topic not in self.served.by_name:
            raise OperatorError(
                f"topic {topic} is not of a served exchange: set K2_EXCHANGES, and K2_EXCHANGES_FILE if it is yours"
            )
        good, rows, refused = judge(letters, self._source(topic), self.schemas)
        report.refused += refused
        return good, rows

    def _source(self, topic: str) -> Source:
        found, exchange = self.served.by_name[topic]
        return Source(found, exchange, self.outlet(topic).schema, self.settings.state.max_open_gaps)

    # --- 3. to 5. reserving, publishing, recording

    def _send(self, topic: str, letters: list[Letter], rows: pa.Table, asked: Selection) -> str:
        load_id = uuid.uuid4().hex
        entry = self.reservations.reserve(lambda loads: self._entry(load_id, topic, letters, loads, asked))
        at = rows.column_names.index("load_id")
        marked = rows.set_column(at, "load_id", pa.array([load_id] * rows.num_rows, pa.string()))
        outlet = replace(self.outlet(topic), key=KEY)
        try:
            sent = self.publisher.publish(outlet, marked)
        except TransientError as error:
            told = f"nothing was sent: {error}"
            self.reservations.add(
                replace(entry, state=ledger.FAILED, recorded_at=self.clock(), rows=0, reason=told)
            )
            raise
        ranges = tuple(Sent(topic, partition, *span) for partition, span in sorted(sent.items()))
        self.reservations.add(replace(entry, state=ledger.SENT, recorded_at=self.clock(), sent=ranges))
        return load_id

    def _entry(
        self, load_id: str, topic: str, letters: Sequence[Letter], loads: pa.Table, asked: Selection
    ) -> LoadEntry:
        """The ledger's entry, given what is in it at this moment."""
        before = {} if asked.again else sent_before(ledger.entries(loads))
        for letter in letters:
            if letter.place in before:
                raise OperatorError(
                    f"dead letter {letter.place} is being sent by load {before[letter.place]}; "
                    f"nothing of {topic} was sent"
                )
        found, _ = self.served.by_name[topic]
        values = b"".join(letter.value or b"" for letter in letters)
        return LoadEntry(
            load_id=load_id,
            state=ledger.RESERVED,
            recorded_at=self.clock(),
            file=named(letter.place for letter in letters),
            file_sha256=hashlib.sha256(values).hexdigest(),
            file_bytes=len(values),
            exchange=found.exchange,
            data_type=found.data_type.value,
            profile=REDRIVE,
            sequence_mode="source",
            symbol=None,
            rows=len(letters),
            rejects=0,
            rejects_file=None,
            numbers={},
            sent=(),
            log_id=self.publisher.log_id,
        )


def sent_before(entries: Iterable[LoadEntry]) -> dict[Coordinates, str]:
    """Load id by dead letter, of those that were sent again and stand, or may have been."""
    return {
        place: one.load_id
        for one in entries
        if one.profile == REDRIVE and one.state in {ledger.RESERVED, ledger.SENT}
        for place in places_of(one.file)
    }


def _by(letters: Iterable[Letter], key: Callable[[Letter], str]) -> dict[str, list[Letter]]:
    groups: dict[str, list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[key(letter)].append(letter)
    return groups
