"""Bring an assigned partition to where the lake ends: position, dead letters of an attempt cut short, states."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from k2app.ingest.partition import Partition
from k2app.ingest.past import Past
from k2app.ingest.positions import LogBounds, Policy, Position, position
from k2app.ingest.rows import Source
from k2app.ingest.states import StateTables, Verdict, fold, judge
from k2app.lake.floors import Floors, Place
from k2app.lake.writer import Writer
from k2app.logs import get
from k2app.market.sequence_states import States

logger = get(__name__)


class LakeRows(Protocol):
    """Rows that the lake holds of one partition, for folding states."""

    def __call__(self, place: Place, start: int, end: int) -> Iterable[pa.Table]:
        """Tables with symbol, trading_date, sequence and timestamp, offsets `[start, end)` in order."""


class LakeScopes(Protocol):
    """Rows that the lake holds of some trading dates of one partition, for getting evicted states back."""

    def __call__(self, place: Place, symbols: list[str], dates: list[int], end: int) -> Iterable[pa.Table]:
        """Tables as `LakeRows` gives them: offsets below `end`, in order."""


Bounds = Callable[[Place, int | None], Awaitable[LogBounds]]
"""Asks the log for a partition's bounds, and for the fingerprint of the record before an offset."""


@dataclass(frozen=True)
class Restorer:
    """Restores partitions of one main table."""

    log_id: str
    writer: Writer
    tables: StateTables
    table_uuid: Callable[[], str]
    lake_rows: LakeRows
    lake_scopes: LakeScopes
    bounds: Bounds
    policy: Policy
    keep_days: int
    judged: Callable[[Verdict], None]
    """Hears what stored states were worth."""

    async def restore(self, wanted: Sequence[tuple[Source, int]]) -> list[Partition]:
        """Restore partitions, by topic and number.

        Raises
        ------
        TransientError
            The catalog, warehouse or log does not answer.
        OperatorError
            See `k2app.ingest.positions`.
        """
        floors = await asyncio.to_thread(self.writer.floors)
        found = []
        for source, number in wanted:
            place = Place(self.log_id, source.topic.name, number)
            found.append(await self._one(place, source, floors))
        return found

    async def _one(self, place: Place, source: Source, floors: Floors) -> Partition:
        floor = floors.partitions.get(place)
        log = await self.bounds(place, None if floor is None else floor.next_offset)
        at = position(place, floors, log, self.policy)
        if at.hole is not None:
            logger.warning("hole", partition=str(place), start=at.hole[0], end=at.hole[1])
        ends = 0 if floor is None else floor.next_offset
        part = Partition(
            self.log_id,
            source,
            place.partition,
            next_offset=at.next_offset,
            states=States.empty(),
            flushed=at.next_offset,
            keep_days=self.keep_days,
            dead=await asyncio.to_thread(self._dead, place, at),
            hole=at.hole,
            fingerprint=None if floor is None else floor.fingerprint,
        )
        if source.sequenced:
            await asyncio.to_thread(self._restore_states, part, place, ends)
        return part

    def past(self, part: Partition) -> Past | None:
        """How to get evicted states of a partition back."""
        if not part.source.sequenced or part.source.rule.scope != "trading_date":
            return None
        place, end = Place(part.log_id, part.topic, part.partition), part.flushed

        def recall(symbols: list[str], dates: list[int]) -> States:
            logger.info("states_recalled", partition=str(place), symbols=len(symbols), dates=len(dates))
            return fold(States.empty(), self.lake_scopes(place, symbols, dates, end), part.source)

        return Past(part.horizon, recall)

    def _dead(self, place: Place, at: Position) -> frozenset[int]:
        return frozenset(
            self.writer.dead_lettered(place.log_id, place.topic, place.partition, at.next_offset)
        )

    def _restore_states(self, part: Partition, place: Place, floor: int) -> None:
        """Set the partition's states; what the table does not have yet is marked to be written."""
        states, watermark = self.tables.read(place.topic, place.partition)
        if floor == 0 and watermark is None and not len(states):
            return
        verdict = judge(states, watermark, self.log_id, self.table_uuid(), floor)
        self.judged(verdict)
        part.states = states
        if verdict == "current":
            return
        start = watermark.next_offset if verdict == "behind" and watermark is not None else 0
        before = states if verdict == "behind" else States.empty()
        part.states = fold(before, self.lake_rows(place, start, floor), part.source)
        part.dirty = set(range(len(part.states)))
        kept = {part.states.keys.text(i) for i in range(len(part.states))}
        part.removed = [t for t in (states.keys.text(i) for i in range(len(states))) if t not in kept]
        logger.info(
            "states_restored",
            partition=str(place),
            stored=verdict,
            start=start,
            floor=floor,
            states=len(part.states),
        )
