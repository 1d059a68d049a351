"""Metrics of loads as a file: their process is gone before anybody could scrape it.

Source: node_exporter, "Textfile Collector": a file that ends in `.prom`, replaced as a whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from k2app.errors import OperatorError
from k2app.load.request import Report, Request
from k2app.logs import get
from k2app.metrics import LoadMetrics

logger = get(__name__)

SUCCESS = "k2_load_last_success_timestamp_seconds"
"""The one metric that outlives its load."""


class LoadMeasures:
    """Counts the loads of one command.

    Parameters
    ----------
    path
        File to write; None: none.

    Raises
    ------
    OperatorError
        There is no such folder, or no file can be made in it: found before anything is loaded.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise OperatorError(f"K2_LOAD_METRICS_FILE {path}: no file can be made in {path.parent}")
        self._path = path
        self._registry = CollectorRegistry()
        self._metrics = LoadMetrics(self._registry)
        self._last: set[tuple[str, str]] = set()

    @contextmanager
    def counting(self, request: Request) -> Iterator[list[Report]]:
        """Count one load, also one that fails; what became of it is put into the list."""
        labels = (request.exchange.name, str(request.data_type))
        begun_s, reports = time.perf_counter(), list[Report]()
        try:
            yield reports
        finally:
            self._metrics.seconds.labels(*labels).inc(time.perf_counter() - begun_s)
            for report in reports:
                self._count(request, report, labels)
            self._write()

    def _count(self, request: Request, report: Report, labels: tuple[str, str]) -> None:
        self._metrics.rows.labels(*labels, "sent").inc(0 if request.dry_run else report.rows)
        self._metrics.rows.labels(*labels, "rejected").inc(report.rejects)
        self._metrics.bytes.labels(*labels).inc(report.size_bytes)
        if not request.dry_run:
            self._metrics.finished.labels(*labels).set_to_current_time()
            self._last.add(labels)

    def _write(self) -> None:
        """Replace the file; a load does not fail for it."""
        if self._path is None:
            return
        try:
            # A load that fails must not take away when one last went well, of whatever exchange.
            for labels, value in _successes(self._path).items():
                if labels not in self._last:
                    self._metrics.finished.labels(*labels).set(value)
            write_to_textfile(str(self._path), self._registry)
        except (OSError, ValueError) as error:
            logger.warning("load_metrics_not_written", file=str(self._path), error=str(error))


def _successes(path: Path) -> dict[tuple[str, str], float]:
    """When loads last went well, by exchange and type, as the file says; nothing if there is none."""
    if not path.exists():
        return {}
    families = text_string_to_metric_families(path.read_text())
    samples = (sample for family in families for sample in family.samples if sample.name == SUCCESS)
    return {(sample.labels["exchange"], sample.labels["type"]): sample.value for sample in samples}
