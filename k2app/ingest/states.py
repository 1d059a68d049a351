"""What ingest asks of the sequence tables, and how a partition's states are brought back.

The tables are a cache of the lake: they are used if their watermark says they belong to the floor, folded forward
over the lake's own rows if they are behind, rebuilt from those rows if they are ahead, missing or wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from k2app.ingest.rows import Source
from k2app.market.sequence_groups import Arrivals
from k2app.market.sequence_states import States
from k2app.market.sequences import check


@dataclass(frozen=True)
class Watermark:
    """Which floor the states of one partition belong to, and what they add up to."""

    log_id: str
    table_uuid: str
    next_offset: int
    digest: str


@dataclass(frozen=True)
class StateChange:
    """What to write to one partition of a topic's table: states first, the watermark last."""

    topic: str
    partition: int
    changed: Mapping[str, Sequence[Any]]
    removed: Sequence[str]
    watermark: Watermark


class StateTables(Protocol):
    """The sequence tables of all topics."""

    def read(self, topic: str, partition: int) -> tuple[States, Watermark | None]:
        """Read one partition. Blocks; use it on a thread."""

    async def write_states(self, changes: Sequence[StateChange]) -> None:
        """Write changed and removed states; durable when it returns. Idempotent."""

    async def write_watermarks(self, changes: Sequence[StateChange]) -> None:
        """Write the watermarks; durable when it returns. Idempotent."""


Verdict = Literal["current", "behind", "wrong"]


def judge(states: States, watermark: Watermark | None, log_id: str, table_uuid: str, floor: int) -> Verdict:
    """Say what stored states are worth for a partition whose lake ends at `floor`."""
    if watermark is None or (watermark.log_id, watermark.table_uuid) != (log_id, table_uuid):
        return "wrong"
    if watermark.next_offset > floor or watermark.digest != states.digest():
        return "wrong"
    return "current" if watermark.next_offset == floor else "behind"


def fold(states: States, rows: Iterable[pa.Table], source: Source) -> States:
    """Check stored rows again.

    Parameters
    ----------
    states
        States before the rows.
    rows
        Tables with symbol, trading_date, sequence and timestamp, in offset order.
    source
        The topic they came from.
    """
    for arrivals in _arrivals(rows, source):
        states = check(arrivals, states, source.rule, max_open_gaps=source.max_open_gaps).states
    return states


def _arrivals(rows: Iterable[pa.Table], source: Source) -> Iterator[Arrivals]:
    for table in rows:
        dates = _column(table, "trading_date").cast(pa.int32()).to_numpy()
        sequence = _column(table, "sequence")
        yield Arrivals(
            symbol=_column(table, "symbol").cast(pa.string()),
            scope=source.rule.scopes(dates),
            sequence=sequence.fill_null(0).to_numpy(),
            has_sequence=sequence.is_valid().to_numpy(zero_copy_only=False),
            timestamp_us=_column(table, "timestamp").cast(pa.int64()).to_numpy().astype(np.int64),
        )


def _column(table: pa.Table, name: str) -> Any:
    return table.column(name).combine_chunks()
