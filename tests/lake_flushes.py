"""Flushes and writers over made-up rows, and catalogs that fail on purpose."""

from __future__ import annotations

from itertools import count
from uuid import uuid4

from pyiceberg.catalog.sql import SqlCatalog

from k2app.lake.commit import Pace
from k2app.lake.floors import Fingerprint, Range
from k2app.lake.tables import Name
from k2app.lake.turns import Turns
from k2app.lake.writer import Flush, Writer
from tests.lake_rows import LOG, MONDAY_US, TOPIC, dead_letters, gaps, trades

QUICK = Pace(within_s=5.0, first_wait_s=0.01, longest_wait_s=0.05, jitter_s=0.01)


def writer(catalog, settings, main=Name.TRADES, pace=QUICK):
    """A writer that waits for nobody's turn: in tests, writers are to meet."""
    ticks, turns = count(MONDAY_US), Turns(settings.catalog_uri, wait_s=0.0)
    return Writer(catalog, settings, main, lambda: next(ticks), pace=pace, turns=turns)


def span(start, end, *, partition=0, skipped=0, hole=None, topic=TOPIC, log_id=LOG):
    return Range(log_id, topic, partition, start, end, skipped, Fingerprint(end, end % 7), hole)


def flush(*ranges, dead=(), events=(), seed=0):
    """Flush of the first range's rows; the dead letters' offsets are not among the rows."""
    first = ranges[0]
    rows = trades(first.end - first.start, start=first.start, partition=first.partition, seed=seed)
    if dead:
        rows = rows.filter([o not in dead for o in rows["offset"].to_pylist()])
    return Flush(
        uuid4().hex,
        first.log_id,
        rows,
        dead_letters(list(dead), partition=first.partition),
        gaps(list(events), partition=first.partition),
        tuple(ranges),
    )


def commit(who, what):
    """All three steps."""
    staged = who.stage(what)
    who.commit_dead_letters(staged)
    who.commit_gaps(staged)
    return who.commit_main(staged)


def offsets(table, *, partition=None):
    """Offsets in a table, sorted, duplicates and all."""
    rows = table.scan().to_arrow()
    return sorted(
        o
        for o, p in zip(rows["offset"].to_pylist(), rows["partition"].to_pylist(), strict=True)
        if partition is None or p == partition
    )


class Faulty(SqlCatalog):
    """The catalog of another one's properties; each commit takes the next fault off the list.

    A fault is (landed, error): whether the commit is carried out before `error` is raised.
    """

    def __init__(self, catalog, *faults):
        super().__init__(catalog.name, **catalog.properties)
        self.faults = list(faults)
        self.commits = 0

    def commit_table(self, table, requirements, updates):
        self.commits += 1
        if not self.faults:
            return super().commit_table(table, requirements, updates)
        landed, error = self.faults.pop(0)
        if landed:
            super().commit_table(table, requirements, updates)
        raise error
