"""One flush: the commit order.

1. tell copies by their content, then write data files for dead letters, gap events and rows (sorted; on a thread);
2. commit dead letters, then gap events;
3. commit the rows with the new floor: **the commit point**;
4. write sequence states, wait for the changelog, then the watermarks;
5. acknowledge to the log.

A process that ends before 3 has committed no row: the offsets are read again, and side rows that are there already
are not written twice. One that ends after 3 has: the floor says so, and states that are behind are folded forward.
The log's committed offsets are a hint; the floor is the truth.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from k2app import tracing
from k2app.errors import TransientError
from k2app.faults import Faults
from k2app.ingest.buffer import Buffer
from k2app.ingest.copies import LakeCopies, settle
from k2app.ingest.flush_measures import count_flush, count_states
from k2app.ingest.partition import PartitionCut
from k2app.ingest.rows import flag_counts
from k2app.ingest.states import StateTables
from k2app.lake.writer import Flush, Receipt, Staged, Writer, discard
from k2app.logs import get
from k2app.metrics import Metrics

logger = get(__name__)


@dataclass(frozen=True)
class Flusher:
    """Takes buffers to the lake, in the order that the module's docstring states."""

    writer: Writer
    tables: StateTables
    table_uuid: Callable[[], str]
    copies: LakeCopies
    metrics: Metrics
    faults: Faults

    async def flush(
        self, buffer: Buffer, cuts: Sequence[PartitionCut], commit_id: str, lag: Callable[[], int]
    ) -> Receipt:
        """Commit a buffer that holds exactly the ranges of `cuts`, under a new commit id.

        Parameters
        ----------
        lag
            Records of the log that the lake does not have, once it has these.

        Raises
        ------
        FencedError, TransientError, CommitUnknownError
            The buffer is void: whether it landed is to be read from the floor.
        """
        started, self.writer.trouble = time.perf_counter(), None
        self.faults.point("flush-started")
        staged = await asyncio.to_thread(self._stage, buffer, cuts, commit_id)
        self.faults.point("files-written")
        try:
            with self._timed(buffer, "side_commit"):
                await asyncio.to_thread(self.writer.commit_dead_letters, staged)
                self.faults.point("dead-letters-committed")
                await asyncio.to_thread(self.writer.commit_gaps, staged)
                self.faults.point("gaps-committed")
            with self._timed(buffer, "main_commit"):
                receipt = await asyncio.to_thread(self.writer.commit_main, staged)
        except TransientError:
            # It has not landed, and is not tried again: what was read is read anew, and written anew.
            await asyncio.to_thread(discard, staged)
            raise
        self.faults.point("main-committed")
        with self._timed(buffer, "states"):
            await self._write_states(buffer.name, cuts)
        for acknowledge in buffer.acknowledge:
            await acknowledge()
        self.faults.point("flush-acknowledged")
        count_flush(self.metrics, buffer.name, staged, receipt, flag_counts(staged.flush.rows))
        self._tell(buffer, cuts, receipt, staged, time.perf_counter() - started, lag())
        return receipt

    @property
    def trouble(self) -> str | None:
        """What the commit that is under way waits for; None: nothing."""
        return self.writer.trouble

    def _stage(self, buffer: Buffer, cuts: Sequence[PartitionCut], commit_id: str) -> Staged:
        with self._timed(buffer, "write_files"):
            rows, dead_letters, gaps = buffer.tables()
            rows = settle(buffer.name, rows, self.copies)
            ranges = tuple(cut.range for cut in cuts)
            flush = Flush(commit_id, ranges[0].log_id, rows, dead_letters, gaps, ranges)
            return self.writer.stage(flush)

    async def _write_states(self, name: str, cuts: Sequence[PartitionCut]) -> None:
        # On a thread: a catalog that does not answer must not keep the event loop.
        table_uuid = await asyncio.to_thread(self.table_uuid)
        changes = [cut.change(table_uuid) for cut in cuts if cut.partition.source.sequenced]
        with self.metrics.log.state_write_seconds.labels(name).time():
            await self.tables.write_states(changes)
            self.faults.point("states-written")
            await self.tables.write_watermarks(changes)
        self.faults.point("watermarks-written")
        count_states(self.metrics, name, changes)

    @contextmanager
    def _timed(self, buffer: Buffer, step: str) -> Iterator[None]:
        with self.metrics.flush.seconds.labels(buffer.name, step).time(), tracing.span(step):
            begun_s = time.perf_counter()
            yield
            buffer.seconds[step] = round(time.perf_counter() - begun_s, 3)

    def _tell(
        self,
        buffer: Buffer,
        cuts: Sequence[PartitionCut],
        receipt: Receipt,
        staged: Staged,
        took_s: float,
        lag: int,
    ) -> None:
        """Write the one line of a flush."""
        flush, files = staged.flush, [file for part in staged.parts.values() for file in part.files]
        logger.info(
            "flushed",
            table=str(buffer.name),
            rows=flush.rows.num_rows,
            flags=flag_counts(flush.rows),
            gap_events=flush.gaps.num_rows,
            dead_letters=flush.dead_letters.num_rows,
            files=len(files),
            bytes=sum(file.file_size_in_bytes for file in files),
            partitions=len(cuts),
            lag_records=lag,
            snapshot=receipt.snapshot_id,
            commit_id=receipt.commit_id,
            seconds=round(took_s, 3),
            steps=buffer.seconds,
        )
