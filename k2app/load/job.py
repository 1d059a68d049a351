"""One load: a file to a topic, written down in the ledger.

1. hash the file, and look in the ledger for the same one;
2. where something must be known first (numbers to give, `--strict`, rows without a sequence): read it once, counting;
3. reserve the load in the ledger, with its numbers, by compare-and-set: two loads never get the same ones;
4. read it again, and publish block by block;
5. write down where its rows are on the log; or that it failed, with the row it reached.

A load that dies after 3 is resumed by loading the same file: it finds its numbers, and what was sent before comes
back as `duplicate`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from k2app import tracing
from k2app.errors import OperatorError, TransientError
from k2app.load import ledger, numbering, refusals
from k2app.load.ledger import LoadEntry, Sent
from k2app.load.numbering import Key, Range
from k2app.load.reader import Block, Context, read
from k2app.load.rejects import RejectsFile
from k2app.load.request import Progress, Report, Request
from k2app.load.reservations import Reservations
from k2app.load.sending import send
from k2app.load.sources import Digest, digest
from k2app.load.trial import Trial
from k2app.load.trial import run as run_trial
from k2app.logs import correlated
from k2app.market.exchanges import Exchange
from k2app.market.sessions import trading_dates
from k2app.market.topics import DataType
from k2app.settings import Settings
from k2app.stream.publisher import Outlet, Publisher

NAME_DIGITS = 12
"""Digits of a file's hash in the name of its rejects, where no load was made: enough to tell files apart."""


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
    reservations: Reservations
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
        load_id = uuid.uuid4().hex
        with correlated(load_id=load_id), tracing.span("load", file=request.path.name, load_id=load_id):
            return self._load(load_id, request, progress)

    def _load(self, load_id: str, request: Request, progress: Progress) -> Report:
        before, found = refusals.stamp(request.path), digest(request.path)
        if found.size_bytes == 0:
            raise OperatorError(f"{request.path} is empty")
        topic = self.outlet(request.exchange, request.data_type).topic
        report = Report(load_id, request.path, request.data_type, topic, size_bytes=found.size_bytes)
        loads = self.reservations.rows()
        report.earlier = self._earlier(loads, request, found)
        refusals.refuse_untellable(request, report.earlier)
        refusals.refuse_doubled(request, found, report.earlier, loads)
        needed = _needs_trial(request, report.earlier)
        trial = self._try(request, found, report, progress) if needed else None
        refusals.refuse_changed(request.path, before, "nothing was loaded")
        if request.dry_run and trial is not None:
            return self._foretold(request, report, trial, loads)
        blocks = _limited(self._blocks(request, report.load_id), request.limit)
        # What cannot be read at all is found before it is written down as a load.
        first = list(islice(blocks, 1))
        entry = self.reservations.reserve(lambda rows: self._reserve(request, found, report, trial, rows))
        with self._failing(entry, report):
            self._send(request, report, chain(first, blocks), progress)
            refusals.refuse_changed(request.path, before, "what was read of it is on the log")
        self.reservations.add(replace(entry, **self._outcome(report)))
        return report

    # --- 1. the same file before

    def _earlier(self, loads: pa.Table, request: Request, found: Digest) -> LoadEntry | None:
        return ledger.find_same(loads, *request.identity(found))

    # --- 2. reading once

    def _try(self, request: Request, found: Digest, report: Report, progress: Progress) -> Trial:
        """Read the file without sending it; refuse it for what is found."""
        blocks = self._blocks(request, report.load_id)
        if request.dry_run:
            blocks = _limited(blocks, request.limit)
        name = f"{'dry-run' if request.dry_run else 'refused'}-{found.sha256[:NAME_DIGITS]}"
        with RejectsFile(self._rejects_folder(request), name) as rejects:
            trial = run_trial(
                blocks,
                partial(_dates, request),
                rejects if request.dry_run or request.strict else None,
                lambda so_far, block: progress("counting", so_far.rows, so_far.rejects, block.bytes_read),
            )
        trial.rejects_file = rejects.path if rejects.rows else None
        refusals.refuse_rejects(request, trial)
        refusals.refuse_unsequenced(request, report.earlier, trial)
        return trial

    def _foretold(self, request: Request, report: Report, trial: Trial, loads: pa.Table) -> Report:
        """What a load would have reported."""
        report.rows, report.rejects = trial.rows, trial.rejects
        report.ambiguous, report.rejects_file = trial.ambiguous, trial.rejects_file
        if request.limit is None:
            report.numbers = _numbers(request, loads, report.earlier, trial.counts)
        return report

    def _blocks(self, request: Request, load_id: str) -> Iterator[Block]:
        now_us, block_bytes = self.clock_us(), self.settings.load.block_bytes
        context = Context(request.exchange, load_id, now_us, request.symbol, request.sequence, block_bytes)
        return read(request.path, request.profile, request.data_type, context)

    def _rejects_folder(self, request: Request) -> Path:
        return request.rejects or self.settings.rejects_dir

    # --- 3. reserving

    def _reserve(
        self, request: Request, found: Digest, report: Report, trial: Trial | None, loads: pa.Table
    ) -> LoadEntry:
        """The entry, given what is in the ledger at this moment."""
        report.earlier = self._earlier(loads, request, found)
        # Another process may have begun to load it since.
        refusals.refuse_untellable(request, report.earlier)
        refusals.refuse_doubled(request, found, report.earlier, loads)
        if trial is None and _needs_trial(request, report.earlier):
            raise OperatorError(f"{request.path} is being loaded by another process: try again")
        counts = {} if trial is None else trial.counts
        report.numbers = _numbers(request, loads, report.earlier, counts)
        sha256, exchange, data_type, profile, symbol = request.identity(found)
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

    def _send(self, request: Request, report: Report, blocks: Iterable[Block], progress: Progress) -> None:
        outlet = self.outlet(request.exchange, request.data_type)
        dates = partial(_dates, request) if request.sequence == "assign" else None
        with RejectsFile(self._rejects_folder(request), report.load_id) as rejects:
            try:
                send(self.publisher, outlet, blocks, dates, report, rejects, progress)
            finally:
                report.rejects_file = rejects.path if rejects.rows else None

    # --- 5. recording

    @contextmanager
    def _failing(self, entry: LoadEntry, report: Report) -> Iterator[None]:
        """Write down that a load failed on the way, and say how far it came."""
        try:
            yield
        except OperatorError as error:
            told = f"{error}; {_reached(report)}"
            failed = {**self._outcome(report), "state": ledger.FAILED, "reason": told}
            # Unrecorded it stays reserved, which means the same to whoever loads the file again.
            with suppress(TransientError):
                self.reservations.add(replace(entry, **failed))
            raise OperatorError(told) from error

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


def _reached(report: Report) -> str:
    row = report.rows + report.rejects
    if not report.rows:
        return f"row {row:,} was reached (load {report.load_id}), nothing is on the log"
    return (
        f"row {row:,} was reached, {report.rows:,} rows up to it are on the log, "
        f"`k2 retract {report.load_id}` takes them back"
    )


def _needs_trial(request: Request, earlier: LoadEntry | None) -> bool:
    """Whether the file has to be read once before anything is sent."""
    if request.dry_run or request.strict or request.sequence == "assign":
        return True
    return request.sequence == "source" and earlier is not None and not request.again


def _numbers(
    request: Request, loads: pa.Table, earlier: LoadEntry | None, counts: Mapping[Key, int]
) -> dict[Key, Range]:
    if request.sequence != "assign":
        return {}
    if earlier is None or not earlier.numbers:
        taken = ledger.taken(loads, request.exchange.name, str(request.data_type))
        return numbering.reserve(counts, taken)
    if {key: one.last - one.first + 1 for key, one in earlier.numbers.items()} != dict(counts):
        raise OperatorError(
            f"{request.path} was loaded at {earlier.recorded_at:%Y-%m-%d %H:%M:%S} UTC (load {earlier.load_id}) and "
            f"is read otherwise now: the profile {request.profile.name}, the exchange or the program changed; "
            "its rows would get the numbers of others, nothing was loaded"
        )
    return dict(earlier.numbers)


def _dates(request: Request, rows: pa.Table) -> Any:
    if request.data_type is DataType.REFERENCE_DATA:
        return np.zeros(rows.num_rows, np.int32)
    times = rows.column("timestamp").combine_chunks().cast(pa.int64()).to_numpy()
    return trading_dates(request.exchange, times)


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
