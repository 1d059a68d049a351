"""One load: a file to a topic, written down in the ledger.

1. hash the file, and look in the ledger for the same one;
2. where something must be known first (numbers to give, `--strict`, rows without a sequence): read it once, counting;
3. reserve the load in the ledger, with its numbers, by compare-and-set: two loads never get the same ones;
4. read it again, and publish block by block;
5. write down where its rows are on the log.

A load that dies after 3 is resumed by loading the same file: it finds its numbers, and what was sent before comes
back as `duplicate`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import stamina

from k2app.errors import OperatorError, TransientError
from k2app.load import ledger, numbering
from k2app.load.ledger import LoadEntry, Sent
from k2app.load.numbering import Key, Range
from k2app.load.profiles import Profile, SequenceMode
from k2app.load.reader import Block, Context, read
from k2app.load.rejects import RejectsFile
from k2app.load.reservations import Reservations
from k2app.load.sources import Digest, digest
from k2app.market.exchanges import Exchange
from k2app.market.sessions import trading_dates
from k2app.market.topics import DataType
from k2app.settings import Settings
from k2app.stream.publisher import Outlet, Publisher

PUBLISH_WITHIN_S = 120.0
"""Seconds for which a block is tried again when the log does not take it (busy, disk full)."""

PUBLISH_PAUSE_S = 0.5
"""Most seconds between two attempts: an interrupted load ends within it."""

NAME_DIGITS = 12
"""Hexadecimal digits of a file's hash in the name of its rejects, where no load was made: enough to tell files apart."""


@dataclass(frozen=True)
class Request:
    """What to load, and how."""

    path: Path
    exchange: Exchange
    data_type: DataType
    profile: Profile
    symbol: str | None
    sequence: SequenceMode
    limit: int | None = None
    """Rows to send at most; None: all."""
    strict: bool = False
    again: bool = False
    dry_run: bool = False
    rejects: Path | None = None
    """Folder for the rejects; None: `settings.rejects_dir`."""


@dataclass
class Report:
    """What became of a load. `sent` is empty for a dry run."""

    load_id: str
    path: Path
    data_type: DataType
    topic: str
    rows: int = 0
    rejects: int = 0
    ambiguous: int = 0
    rejects_file: Path | None = None
    earlier: LoadEntry | None = None
    """Load of the same file before this one."""
    numbers: dict[Key, Range] = field(default_factory=dict)
    sent: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Offsets [start, end) by partition; other loads' rows may lie in between."""
    flags: dict[str, int] = field(default_factory=dict)
    """Rows in the lake by sequence flag, once `waiting` has seen them there."""
    took_s: float = 0.0


Phase = Literal["counting", "sending"]


class Progress(Protocol):
    """Hears how far a load is."""

    def __call__(self, phase: Phase, rows: int, rejects: int, bytes_read: int) -> None:
        """Rows and rejects so far, bytes of the file read so far."""


@dataclass(frozen=True)
class Loader:
    """Loads files into one log and lake.

    Parameters
    ----------
    outlet
        Topic and schema for a data type of an exchange.
    clock_us
        Now, UTC microseconds.
    """

    settings: Settings
    catalog: Catalog
    publisher: Publisher
    outlet: Callable[[Exchange, DataType], Outlet]
    clock_us: Callable[[], int]

    def load(self, request: Request, progress: Progress) -> Report:
        """Load one file.

        Raises
        ------
        OperatorError
            The file, the profile or the ledger forbids it; one sentence says why. Nothing was sent, unless it
            says otherwise.
        TransientError
            Log or catalog do not answer.
        """
        found = digest(request.path)
        if found.size_bytes == 0:
            raise OperatorError(f"{request.path} is empty")
        topic = self.outlet(request.exchange, request.data_type).topic
        report = Report(uuid.uuid4().hex, request.path, request.data_type, topic)
        report.earlier = self._earlier(request, found)
        if request.dry_run:
            self._count(request, report, progress, keep_rejects=True)
            return report
        self._refuse_again(request, report.earlier)
        counts = self._count_if_needed(request, report, progress)
        entry = self._reserve(request, found, report, counts)
        self._send(request, report, progress)
        self._record(replace(entry, **self._outcome(report)))
        return report

    # --- 1. the same file before

    def _earlier(self, request: Request, found: Digest) -> LoadEntry | None:
        return ledger.find_same(self._loads()[0], *self._identity(request, found))

    def _identity(self, request: Request, found: Digest) -> tuple[str, str, str, str, str | None]:
        names = (request.exchange.name, str(request.data_type), request.profile.name)
        return (found.sha256, *names, request.symbol)

    def _refuse_again(self, request: Request, earlier: LoadEntry | None) -> None:
        if earlier is None or request.again or request.sequence != "none":
            return
        how = "was loaded" if earlier.state == ledger.SENT else "was begun and not finished"
        raise OperatorError(
            f"{request.path} {how} at {earlier.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load {earlier.load_id}) and its "
            "rows have no sequence by which a second copy could be told: --again loads it once more"
        )

    def _loads(self) -> tuple[pa.Table, Any, int | None]:
        """Rows of the ledger, its table, and the snapshot they are of."""
        table = load_table(self.catalog, self.settings, Name.LOADS)
        current = table.current_snapshot()
        return read_loads(table), table, None if current is None else current.snapshot_id

    # --- 2. counting

    def _count_if_needed(self, request: Request, report: Report, progress: Progress) -> dict[Key, int]:
        if request.sequence != "assign" and not request.strict:
            return {}
        trial = Report(report.load_id, request.path, report.data_type, report.topic)
        counts = self._count(request, trial, progress, keep_rejects=request.strict)
        if request.strict and trial.rejects:
            raise OperatorError(
                f"{request.path}: {trial.rejects} of {trial.rows + trial.rejects} rows rejected, --strict allows none; "
                f"nothing was loaded; see {trial.rejects_file}"
            )
        return counts

    def _count(
        self, request: Request, report: Report, progress: Progress, *, keep_rejects: bool
    ) -> dict[Key, int]:
        total: dict[Key, int] = {}
        with RejectsFile(self._rejects_folder(request), report.load_id) as rejects:
            for block in self._blocks(request, report.load_id):
                counts = numbering.count([(block.rows, self._dates(request, block.rows))])
                total = {key: total.get(key, 0) + counts.get(key, 0) for key in total | counts}
                _tell(report, block, rejects if keep_rejects else None)
                progress("counting", report.rows, report.rejects, block.bytes_read)
        report.rejects_file = rejects.path if rejects.rows else None
        return total

    def _blocks(self, request: Request, load_id: str) -> Iterator[Block]:
        context = Context(
            request.exchange,
            load_id,
            self.clock_us(),
            request.symbol,
            request.sequence,
            self.settings.load.block_bytes,
        )
        return read(request.path, request.profile, request.data_type, context)

    def _dates(self, request: Request, rows: pa.Table) -> Any:
        if request.data_type is DataType.REFERENCE_DATA:
            return np.zeros(rows.num_rows, np.int32)
        times = rows.column("timestamp").combine_chunks().cast(pa.int64()).to_numpy()
        return trading_dates(request.exchange, times)

    def _rejects_folder(self, request: Request) -> Path:
        return request.rejects or self.settings.rejects_dir

    # --- 3. reserving

    def _reserve(
        self, request: Request, found: Digest, report: Report, counts: Mapping[Key, int]
    ) -> LoadEntry:
        for _ in range(RESERVE_ATTEMPTS):
            loads, table, snapshot = self._loads()
            earlier = ledger.find_same(loads, *self._identity(request, found))
            report.numbers = self._numbers(request, loads, earlier, counts)
            entry = self._entry(request, found, report)
            try:
                append_if(table, _row(entry), snapshot)
            except FencedError:
                continue
            except CommitUnknownError:
                if not any(e.load_id == entry.load_id for e in ledger.entries(self._loads()[0])):
                    continue
            return entry
        raise TransientError(f"{request.path}: the ledger of loads kept changing; try again")

    def _numbers(
        self, request: Request, loads: pa.Table, earlier: LoadEntry | None, counts: Mapping[Key, int]
    ) -> dict[Key, Range]:
        if request.sequence != "assign":
            return {}
        if earlier is not None and earlier.numbers:
            return dict(earlier.numbers)
        taken = ledger.taken(loads, request.exchange.name, str(request.data_type))
        return numbering.reserve(counts, taken)

    def _entry(self, request: Request, found: Digest, report: Report) -> LoadEntry:
        sha256, exchange, data_type, profile, symbol = self._identity(request, found)
        return LoadEntry(
            load_id=report.load_id,
            state=ledger.RESERVED,
            recorded_at=self._now(),
            file=str(request.path),
            file_sha256=sha256,
            file_bytes=found.size_bytes,
            exchange=exchange,
            data_type=data_type,
            profile=profile,
            sequence_mode=request.sequence,
            symbol=symbol,
            rows=0,
            rejects=0,
            rejects_file=None,
            numbers=report.numbers,
            sent=(),
            log_id=self.publisher.log_id,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock_us() / 1_000_000, UTC)

    # --- 4. sending

    def _send(self, request: Request, report: Report, progress: Progress) -> None:
        outlet = self.outlet(request.exchange, request.data_type)
        cursor: numbering.Cursor = report.numbers
        pending: Future[dict[int, tuple[int, int]]] | None = None
        with (
            RejectsFile(self._rejects_folder(request), report.load_id) as rejects,
            # One block is published while the next is read.
            ThreadPoolExecutor(1, thread_name_prefix="publish") as threads,
        ):
            for block in _limited(self._blocks(request, report.load_id), request.limit):
                rows = block.rows
                if request.sequence == "assign":
                    rows, cursor = numbering.assign(rows, self._dates(request, rows), cursor)
                _note_sent(report, pending)
                pending = threads.submit(self._publish, outlet, rows)
                _tell(report, block, rejects)
                progress("sending", report.rows, report.rejects, block.bytes_read)
            _note_sent(report, pending)
        report.rejects_file = rejects.path if rejects.rows else None

    @stamina.retry(on=TransientError, timeout=PUBLISH_WITHIN_S, attempts=None)
    def _publish(self, outlet: Outlet, rows: pa.Table) -> dict[int, tuple[int, int]]:
        return self.publisher.publish(outlet, rows)

    # --- 5. recording

    def _outcome(self, report: Report) -> dict[str, Any]:
        return {
            "state": ledger.SENT,
            "recorded_at": self._now(),
            "rows": report.rows,
            "rejects": report.rejects,
            "rejects_file": None if report.rejects_file is None else str(report.rejects_file),
            "sent": tuple(
                Sent(report.topic, p, start, end) for p, (start, end) in sorted(report.sent.items())
            ),
        }

    def _record(self, entry: LoadEntry) -> None:
        for _ in range(RESERVE_ATTEMPTS):
            _, table, snapshot = self._loads()
            try:
                append_if(table, _row(entry), snapshot)
            except FencedError:
                continue
            except CommitUnknownError:
                if not any(e == entry for e in ledger.entries(self._loads()[0])):
                    continue
            return
        raise TransientError(
            f"load {entry.load_id} was sent, and the ledger kept changing: load the file again"
        )


def _row(entry: LoadEntry) -> pa.Table:
    return pa.Table.from_pylist([entry.row()], schema=SPECS[Name.LOADS].arrow_schema)


def _tell(report: Report, block: Block, rejects: RejectsFile | None) -> None:
    report.rows += block.rows.num_rows
    report.rejects += len(block.rejects)
    report.ambiguous += block.ambiguous
    if rejects is not None:
        rejects.write(block.rejects)


def _note_sent(report: Report, pending: Future[dict[int, tuple[int, int]]] | None) -> None:
    """Wait for a block to be published, and widen the report's offsets by it."""
    for partition, (start, end) in ({} if pending is None else pending.result()).items():
        first = report.sent.get(partition, (start, end))[0]
        report.sent[partition] = (first, end)


def _limited(blocks: Iterator[Block], limit: int | None) -> Iterator[Block]:
    """Blocks up to `limit` rows; rejects before the last row taken."""
    left = limit
    for block in blocks:
        if left is None or block.rows.num_rows < left:
            yield block
            left = None if left is None else left - block.rows.num_rows
            continue
        rows = block.rows.slice(0, left)
        last = rows.column("source_line")[-1].as_py() if left else 0
        yield replace(block, rows=rows, rejects=[r for r in block.rejects if r.line <= last])
        return
