"""`--wait`: until the lake has what was sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table

from k2app.errors import OperatorError
from k2app.lake.catalog import load as load_table
from k2app.lake.catalog import reading
from k2app.lake.floors import floor_in_force
from k2app.lake.tables import Name
from k2app.load.request import Report
from k2app.settings import Settings

POLL_S = 0.1
"""Seconds between looks at the lake's floor."""


@dataclass(frozen=True)
class Wait:
    """What waiting needs to know.

    Parameters
    ----------
    worker_alive
        Whether a worker consumes the log.
    progress
        Hears at every look how many offsets are not in the lake yet.
    """

    settings: Settings
    catalog: Catalog
    log_id: str
    worker_alive: Callable[[], bool]
    progress: Callable[[Report, int], None]


def wait_for(wait: Wait, report: Report) -> None:
    """Wait until the lake has every row of a load, and set the report's counts by flag.

    Raises
    ------
    OperatorError
        The lake has not moved for `K2_LOAD_WAIT_S`; says whether a worker is running.
    """
    left, moved_s = _left(wait, report), time.monotonic()
    while left:
        wait.progress(report, left)
        if time.monotonic() - moved_s > wait.settings.load.wait_s:
            raise OperatorError(_given_up(wait, report, left))
        time.sleep(POLL_S)
        now = _left(wait, report)
        if now < left:
            left, moved_s = now, time.monotonic()
    report.flags = _flags(_table(wait, report), report.load_id)


def _left(wait: Wait, report: Report) -> int:
    """Offsets up to the load's last that are not in the lake; those before its first count, too: they come first."""
    floors = floor_in_force(_table(wait, report).metadata)
    found = 0
    for partition, (_, end) in report.sent.items():
        floor = floors.get(wait.log_id, report.topic, partition)
        found += max(end - (0 if floor is None else floor.next_offset), 0)
    return found


def _table(wait: Wait, report: Report) -> Table:
    return load_table(wait.catalog, wait.settings, Name(str(report.data_type)))


def _given_up(wait: Wait, report: Report, left: int) -> str:
    lead = f"{report.path} is on the log (load {report.load_id}), {left:,} offsets of it are not in the lake"
    waited = f"nothing was committed for {wait.settings.load.wait_s:g} s (K2_LOAD_WAIT_S)"
    if wait.worker_alive():
        return f"{lead}: a worker is running, but {waited}; see its log"
    return (
        f"{lead}: no worker is running; start one with `k2 worker` (or `k2 worker --drain`), and it takes them from "
        "the log; the file need not be loaded again"
    )


def _flags(table: Table, load_id: str) -> dict[str, int]:
    columns = table.schema().column_names
    name = "sequence_flag" if "sequence_flag" in columns else "load_id"
    with reading(f"table {'.'.join(table.name())}"):
        rows = table.scan(
            row_filter=EqualTo(term="load_id", value=load_id), selected_fields=(name,)
        ).to_arrow()
    if name == "load_id":
        return {"rows": rows.num_rows} if rows.num_rows else {}
    counted = pc.value_counts(rows.column(name).combine_chunks()).to_pylist()
    return {entry["values"]: entry["counts"] for entry in counted}
