"""The lake: catalog, tables, their rules, and whether the warehouse takes files and gives them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pyiceberg.table import Table

from k2app.lake.catalog import check_readable, reading
from k2app.lake.tables import Name
from k2app.operate.doctor.findings import Finding, failed, fine, warning

PART = "lake"

PROBE = b"k2 doctor wrote this, and takes it away again\n"

SKEW = timedelta(seconds=2)
"""How far clocks may be apart: as-of answers are ordered by the times of commits."""


def look_at_tables(
    tables: Mapping[Name, Table], rules: Mapping[Name, Mapping[str, str]], now: datetime
) -> Iterator[Finding]:
    """Look at tables that were loaded: rules in force, what other engines wrote, times of commits."""
    rows = sum(_rows(table) for table in tables.values())
    yield fine(PART, f"{len(tables)} tables, {rows:,} rows, in {_root(tables[Name.TRADES])}")
    for name, table in tables.items():
        yield from _rules(name, table, rules.get(name, {}))
        yield from _newest(name, table, now)


def _rules(name: Name, table: Table, rules: Mapping[str, str]) -> Iterator[Finding]:
    for key, text in rules.items():
        pinned = table.properties.get(key)
        if pinned is None:
            yield failed(PART, f"{name}: {key} is not pinned yet", "run `k2 init`")
        elif pinned != text:
            yield failed(
                PART,
                f"{name}: {key} is pinned as {pinned!r} and is {text!r} now",
                "restore the rule in the exchanges file, or load into another namespace (K2_LAKE_NAMESPACE)",
            )


def _newest(name: Name, table: Table, now: datetime) -> Iterator[Finding]:
    snapshot = table.current_snapshot()
    if snapshot is None:
        return
    check_readable(table, snapshot)
    ahead = datetime.fromtimestamp(snapshot.timestamp_ms / 1_000, UTC) - now
    if ahead > SKEW:
        yield warning(
            PART,
            f"{name}: the newest commit was made {ahead.total_seconds():,.1f} s from now",
            "set the clocks of the machines that write (NTP): `as_of` orders answers by these times",
        )


def _rows(table: Table) -> int:
    snapshot = table.current_snapshot()
    return 0 if snapshot is None or snapshot.summary is None else int(snapshot.summary["total-records"] or 0)


def _root(table: Table) -> str:
    return table.location().rpartition("/")[0]


def look_at_warehouse(table: Table) -> Iterator[Finding]:
    """Write a small file beside the table's data, read it, and take it away."""
    at = f"{table.location()}/data/k2-doctor-{uuid4().hex}"
    with reading(f"warehouse {_root(table)} takes no files"):
        with table.io.new_output(at).create() as written:
            written.write(PROBE)
        with table.io.new_input(at).open() as stream:
            found = stream.read()
        table.io.delete(at)
    if found != PROBE:
        yield failed(PART, f"{at}: {len(PROBE)} bytes were written, other {len(found)} were read")
        return
    yield fine(PART, f"warehouse {_root(table)} takes files and gives them back")
