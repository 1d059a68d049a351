"""Which rows a query shows, where loads are retracted.

Rows of a retracted load are left out. That alone could hide too much: a duplicate is hidden because a row with the
same content is shown, and that row may be one of the retracted ones. So where nothing else of its content is left,
the first duplicate stands in for it. All copies of a record have its time and symbol: whatever part of a table a
query reads by these, it sees all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k2app.lake.content import content_columns
from k2app.lake.ledger import RETRACTED
from k2app.lake.tables import Name
from k2app.query.answers.result import Notice
from k2app.query.reading.filters import Filter, any_of, equal, quoted
from k2app.query.reading.reader import LOADS, Reader
from k2app.query.reading.snapshots import SnapshotSet

DUPLICATE = "duplicate"
"""The only flag that is hidden by default: a visible row with the same content stands beside it."""

_PLAIN = (
    f", judged AS (SELECT *, false AS retracted, sequence_flag = '{DUPLICATE}' AS duplicate FROM matching)"
)

_WITHDRAWN = """
, marked_rows AS (
  SELECT *, coalesce(load_id IN (SELECT unnest($withdrawn::VARCHAR[])), false) AS retracted FROM matching)
, heirs AS (
  SELECT log_id, topic, "partition", "offset", true AS is_heir FROM (
    SELECT log_id, topic, "partition", "offset", sequence_flag, row_number() OVER (
      PARTITION BY topic, {content} ORDER BY sequence_flag = '{duplicate}', log_id, "partition", "offset") AS nth
    FROM marked_rows
    WHERE NOT retracted AND (symbol, "sequence", "timestamp") IN (
      SELECT (symbol, "sequence", "timestamp") FROM marked_rows WHERE retracted)
  ) WHERE nth = 1 AND sequence_flag = '{duplicate}')
, judged AS (
  SELECT * EXCLUDE (is_heir), sequence_flag = '{duplicate}' AND is_heir IS NULL AS duplicate
  FROM marked_rows LEFT JOIN heirs USING (log_id, topic, "partition", "offset"))
"""


@dataclass(frozen=True)
class Judgement:
    """What is known of the rows of one part of a table.

    Parameters
    ----------
    sql
        Continues a WITH that has `matching`: defines `judged`, the same rows with two more columns, `retracted` and
        `duplicate` (hidden as one).
    parameters
        What it binds.
    withdrawn
        Retracted loads that have rows in that part.
    """

    sql: str = _PLAIN
    parameters: dict[str, object] = field(default_factory=dict)
    withdrawn: tuple[str, ...] = ()


def judge(reader: Reader, found: SnapshotSet, table: str, scope: Filter) -> Judgement:
    """Find out which loads are retracted that have rows in a part of trades or quotes.

    Parameters
    ----------
    scope
        The part. By symbol, exchange and time only: a condition that tells copies apart would hide some.
    """
    retracted = retracted_loads(reader, found, table)
    if not retracted:
        return Judgement()
    body = "SELECT DISTINCT load_id FROM matching ORDER BY ALL"
    present = reader.query(found, table, (*scope, *any_of("load_id", retracted)), body)["load_id"].to_pylist()
    if not present:
        return Judgement()
    content = ", ".join(map(quoted, content_columns(Name(table))))
    sql = _WITHDRAWN.format(content=content, duplicate=DUPLICATE)
    return Judgement(sql, {"withdrawn": present}, tuple(present))


def retracted_loads(reader: Reader, found: SnapshotSet, table: str) -> tuple[str, ...]:
    """Ids of the retracted loads of a table, as the snapshot set knows them; none if it leaves them in."""
    if LOADS not in found.versions:
        return ()
    terms = (*equal("state", RETRACTED), *equal("data_type", table))
    body = "SELECT DISTINCT load_id FROM matching ORDER BY ALL"
    return tuple(reader.query(found, LOADS, terms, body)["load_id"].to_pylist())


def committed_notice(found: SnapshotSet, table: str) -> tuple[Notice, ...]:
    """What is said of a table that had no snapshot; nothing of others."""
    if found.versions[table].snapshot is not None:
        return ()
    return (Notice("nothing_committed", f"{table}: nothing had been committed by then", 0),)


def retracted_notice(count: int) -> tuple[Notice, ...]:
    """What is said of rows of retracted loads; nothing of none."""
    if count == 0:
        return ()
    rows = "row" if count == 1 else "rows"
    message = f"{count} {rows} of retracted loads left out; include_retracted shows them"
    return (Notice("retracted_hidden", message, count),)
