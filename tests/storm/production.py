"""The producing side of a storm: one load, held back so that it lasts as long as the storm."""

import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from k2app import topology
from k2app.lake.catalog import open_catalog
from k2app.load import profiles
from k2app.load.job import Loader
from k2app.load.request import Report, Request
from k2app.load.reservations import Reservations
from k2app.market.topics import DataType
from k2app.stream.log_file import LogFile
from k2app.stream.log_path import log_path
from k2app.stream.log_records import records_from_pairs
from k2app.stream.publisher import EmbeddedPublisher
from tests.pipeline.homes import TRADES, Home

BAD_MESSAGES = (
    (b"C01", b"not avro"),
    (b"C02", None),
    (b"C03", b"\0\0\0\0\x63tail"),
    (b"C04", b"\0\0\0\0\x01\x02"),
)
"""Messages for the dead letters: not framed, a tombstone, an unknown schema, a body cut short."""

FINISH_WITHIN_S = 600.0
"""Seconds for the load of what the storm has left: it fails by then as one that has no report."""

CANCEL_WITHIN_S = 30.0
"""Seconds for the thread to end when the storm is over before the load is."""


@dataclass(frozen=True)
class Lot:
    """Rows that may be sent before the next counted kill."""

    rows: int
    block_bytes: int


class CancelledError(Exception):
    """The storm is over; the load ends here."""


class Production(threading.Thread):
    """Loads one file with the loader that `k2 load` uses, a lot at a time, and puts bad messages in between.

    Its progress callback is where it is held back; `allow` lets the next lot through.
    """

    def __init__(self, home: Home, file: Path, lot: Lot) -> None:
        super().__init__(name="production", daemon=True)
        self._home, self._file, self._lot = home, file, lot
        self._allowed = lot.rows
        self._may_go_on = threading.Condition()
        self._cancelled = False
        self._partitions = len(home.ends())
        self.bad = 0
        self.report: Report | None = None
        self.error: BaseException | None = None

    def allow(self) -> None:
        """Let one more lot through."""
        with self._may_go_on:
            self._allowed += self._lot.rows
            self._may_go_on.notify()

    def finish(self) -> Report:
        """Let everything through, and wait for the end of the load."""
        with self._may_go_on:
            self._allowed = 2**62
            self._may_go_on.notify()
        self.join(FINISH_WITHIN_S)
        if self.error is not None or self.report is None:
            raise AssertionError("the load failed") from self.error
        return self.report

    def cancel(self) -> None:
        """End early; harmless at the end."""
        with self._may_go_on:
            self._cancelled = True
            self._may_go_on.notify()
        self.join(CANCEL_WITHIN_S)

    def run(self) -> None:
        """Load the file."""
        with suppress(CancelledError):
            try:
                self.report = self._load()
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the top of the thread; `finish` raises it
                self.error = error

    def _load(self) -> Report:
        settings = self._home.settings
        settings = settings.model_copy(
            update={"load": settings.load.model_copy(update={"block_bytes": self._lot.block_bytes})}
        )
        served = topology.topics(settings)
        _, exchange = served.topic("asx", DataType.TRADES)
        path = log_path(settings.log_url)
        with (
            closing(open_catalog(settings)) as catalog,
            closing(EmbeddedPublisher(LogFile(path))) as publisher,
            closing(LogFile(path)) as raw,
        ):
            outlet = self._home.outlet(DataType.TRADES)
            loader = Loader(
                settings,
                Reservations(catalog, settings),
                publisher,
                lambda *_: outlet,
                lambda: time.time_ns() // 1_000,
            )
            request = Request(
                self._file, exchange, DataType.TRADES, profiles.load("k2"), None, sequence="source"
            )
            return loader.load(replace(request), lambda _phase, rows, *_: self._pace(raw, rows))

    def _pace(self, raw: LogFile, rows: int) -> None:
        partition = self.bad % self._partitions
        raw.append(TRADES, [records_from_pairs(partition, BAD_MESSAGES)])
        self.bad += len(BAD_MESSAGES)
        with self._may_go_on:
            self._may_go_on.wait_for(lambda: rows < self._allowed or self._cancelled)
            if self._cancelled:
                raise CancelledError
