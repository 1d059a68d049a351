"""Retention of the embedded log: what is in the lake may go, by age and by size.

- Topics of trades and quotes are trimmed below the lake's floor, never beyond. The record before the floor stays: by
  its fingerprint the worker tells whether the log is still the one that the lake was written from.
- Reference data is compacted below the floor: the last record of every company stays.
- Changelogs are never trimmed, only compacted: the last value of every key stays.

Records go a stored batch at a time, oldest first, and freed space is given back, in steps small enough that whoever
appends hardly waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from k2app.errors import K2Error
from k2app.logs import get
from k2app.stream.changelogs import CHANGELOG_SUFFIX
from k2app.stream.log_space import LogSpace, StoredBatch

logger = get(__name__)

INTERVAL_S = 300.0
"""Seconds between two passes: what may go is hours old, and a pass costs milliseconds if there is nothing to do."""

NOT_READY_S = 1.0
"""Seconds between looks whether the worker has made sure that the log is the right one."""

STOP_WITHIN_S = 10.0
"""Seconds that a step gets to end: it takes tenths of a second, unless it asks a lake that does not answer."""

STEP_BYTES = 64 * 1024 * 1024
"""Bytes trimmed in one transaction: appends wait for tenths of a second at most."""

STEP_PAGES = 1_024
"""Pages given back in one transaction: 16 MiB."""

HOUR_US = 3_600_000_000
"""Microseconds."""


class Floor(NamedTuple):
    """Where the lake ends in one partition."""

    next_offset: int
    """First offset that is not in the lake."""
    fingerprint: tuple[int, int] | None
    """Of the record before it; see `RecordBatch.fingerprint`."""


Floors = Mapping[tuple[str, int], Floor]
"""Floors by topic and partition."""


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True)
class Keep:
    """How much of what is in the lake stays on the log."""

    hours: float
    size_bytes: int
    """Of the file; 0: no limit."""


@dataclass(frozen=True)
class Cut:
    """What goes of one partition: everything in `batches`, which are its oldest."""

    place: Place
    batches: tuple[StoredBatch, ...]

    @property
    def before_offset(self) -> int:
        """Offset below which everything goes."""
        return self.batches[-1].next_offset

    @property
    def records(self) -> int:
        """Records that go."""
        return sum(batch.records for batch in self.batches)

    @property
    def size_bytes(self) -> int:
        """Bytes that go."""
        return sum(batch.size_bytes for batch in self.batches)

    def steps(self) -> Iterator[int]:
        """Offsets to trim below, one after the other."""
        size = 0
        for batch in self.batches:
            size += batch.size_bytes
            if size >= STEP_BYTES:
                yield batch.next_offset
                size = 0
        yield self.before_offset


def choose(
    stored: Mapping[Place, Sequence[StoredBatch]], keep: Keep, used_bytes: int, now_us: int
) -> list[Cut]:
    """Choose what goes. Pure.

    Parameters
    ----------
    stored
        What may go of each partition, in order of offset.
    used_bytes
        Bytes of the file in use.

    Returns
    -------
    list of Cut
        By place; partitions of which nothing goes are absent. What is too old goes; then, while the file is larger
        than it may be, what was appended first, over all partitions.
    """
    oldest_us = now_us - int(keep.hours * HOUR_US)
    # The clock may have been set back: a batch goes only if those before it do.
    ages = {place: list(accumulate((b.time_us for b in batches), max)) for place, batches in stored.items()}
    gone = {place: sum(age < oldest_us for age in ages[place]) for place in stored}
    if keep.size_bytes:
        aged = sum(b.size_bytes for place, batches in stored.items() for b in batches[: gone[place]])
        excess = used_bytes - aged - keep.size_bytes
        young = sorted(
            (age, place, index)
            for place in stored
            for index, age in enumerate(ages[place])
            if index >= gone[place]
        )
        for _, place, index in young:
            if excess <= 0:
                break
            gone[place] = index + 1
            excess -= stored[place][index].size_bytes
    return [Cut(place, tuple(stored[place][:count])) for place, count in sorted(gone.items()) if count]


def plan(log: LogSpace, floors: Floors, keep: Keep, now_us: int) -> list[Cut]:
    """Choose what goes of a log, given the lake's floors of it. Writes nothing.

    A partition whose record before the floor is not the one that the lake holds is left alone: the log was restored
    from an old copy, and may hold what the lake does not.
    """
    stored = {
        place: log.stored(*place, floors[place].next_offset - 1)
        for place, compacted in _ends(log)
        if not compacted and place in floors
    }
    cuts = choose(stored, keep, log.usage().used_bytes, now_us)
    return [cut for cut in cuts if _is_the_lakes(log, cut.place, floors[cut.place])]


def _is_the_lakes(log: LogSpace, place: Place, floor: Floor) -> bool:
    batch = log.read(*place, floor.next_offset - 1, max_rows=1, max_bytes=1)
    if batch is None or batch.first_offset != floor.next_offset - 1:
        return False
    return floor.fingerprint is None or batch.fingerprint(0) == tuple(floor.fingerprint)


def trim(log: LogSpace, cuts: Sequence[Cut], stopping: Callable[[], bool] = lambda: False) -> None:
    """Trim what was chosen, and give the space back; stops between two steps when asked to."""
    for cut in cuts:
        for before_offset in cut.steps():
            if stopping():
                return
            log.trim(*cut.place, before_offset)
    give_back(log, stopping)


def give_back(log: LogSpace, stopping: Callable[[], bool] = lambda: False) -> None:
    """Give free space back to the file system; a file that cannot shrink keeps it for what is appended next."""
    if not log.usage().free_bytes:
        return
    while not stopping() and log.give_back(STEP_PAGES):
        pass
    log.checkpoint()


def compactable(log: LogSpace, floors: Floors) -> dict[Place, int]:
    """Compacted partitions, with the offset below which they may be compacted."""
    return {
        place: floors[place].next_offset - 1 if place in floors else end
        for (place, compacted), end in _ends(log).items()
        if compacted and (place in floors or place.topic.endswith(CHANGELOG_SUFFIX))
    }


def _ends(log: LogSpace) -> dict[tuple[Place, bool], int]:
    """Next offset of every partition, with whether its topic is compacted."""
    compacted = {topic.name: topic.compacted for topic in log.topics()}
    bounds = log.bounds(compacted)
    return {(Place(*place), compacted[place[0]]): end for place, (_, end) in sorted(bounds.items())}


class Retention:
    """Passes over the log of a running worker, every few minutes, on a thread.

    Parameters
    ----------
    open_log
        Opens a connection.
    floors
        Reads the lake's floors of this log.
    ready
        Whether the log is known to be the one that the lake was written from.
    fail
        Hears of an error that is none of retention's.
    trimmed
        Hears, on a thread, how many records a pass has trimmed.
    """

    def __init__(
        self,
        open_log: Callable[[], LogSpace],
        floors: Callable[[], Floors],
        ready: Callable[[], bool],
        keep: Keep,
        clock_us: Callable[[], int],
        fail: Callable[[BaseException], Awaitable[None]],
        interval_s: float = INTERVAL_S,
        trimmed: Callable[[int], None] | None = None,
    ) -> None:
        self._open_log = open_log
        self._floors = floors
        self._ready = ready
        self._keep = keep
        self._clock_us = clock_us
        self._fail = fail
        self._interval_s = interval_s
        self._trimmed = trimmed or (lambda _: None)
        self._compacted: dict[Place, int] = {}
        self._stop = threading.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first pass comes as soon as the worker is ready."""
        self._stop.clear()
        self._wake.clear()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End after the step that is under way; a lake that does not answer is not awaited."""
        self._stop.set()
        self._wake.set()
        if self._task is not None:
            if not (await asyncio.wait({self._task}, timeout=STOP_WITHIN_S))[0]:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stop.is_set():
            ready = self._ready()
            if ready:
                await self._pass()
            try:
                await asyncio.wait_for(self._wake.wait(), self._interval_s if ready else NOT_READY_S)
            except TimeoutError:
                continue

    async def _pass(self) -> None:
        try:
            await asyncio.to_thread(self.once)
        except (K2Error, sqlite3.Error) as error:
            logger.warning("retention_failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - the top of the task: the worker must not go on without it
            await self._fail(error)

    def once(self) -> None:
        """Make one pass."""
        floors = self._floors()
        with closing(self._open_log()) as log:
            self._compact(log, floors)
            before = log.usage()
            cuts = plan(log, floors, self._keep, self._clock_us())
            trim(log, cuts, self._stop.is_set)
            self._trimmed(sum(cut.records for cut in cuts))
            if cuts:
                logger.info(
                    "log_trimmed",
                    records=sum(cut.records for cut in cuts),
                    size_bytes=sum(cut.size_bytes for cut in cuts),
                    partitions=len(cuts),
                    file_bytes_before=before.file_bytes,
                    file_bytes=log.usage().file_bytes,
                )

    def _compact(self, log: LogSpace, floors: Floors) -> None:
        """Compact where something came since the last pass."""
        for place, before_offset in compactable(log, floors).items():
            if before_offset > self._compacted.get(place, 0) and not self._stop.is_set():
                log.compact(*place, before_offset)
                self._compacted[place] = before_offset
