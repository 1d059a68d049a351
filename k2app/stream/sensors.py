"""Faust's own sensors, into K2's metrics; they take the place of its monitor, which keeps the same in lists.

Faust calls them for every event. An event here is a whole fetch: the microsecond that they take is nothing beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from faust.sensors.base import Sensor
from faust.types import TP, AppT, Message
from faust.types.transports import ConsumerT
from prometheus_client import Histogram

from k2app.logs import FAUST_LOGGER
from k2app.metrics import LogMetrics


class Sensors(Sensor):
    """Feeds the metrics of the log."""

    logger = FAUST_LOGGER

    def __init__(self, metrics: LogMetrics, **options: Any) -> None:
        super().__init__(**options)
        self._metrics = metrics
        self._by_topic: dict[str, Histogram] = {}
        self._has_committed = False

    def on_message_in(self, tp: TP, offset: int, message: Message) -> None:
        """An agent gets a fetch."""
        del tp, offset
        message.time_in = perf_counter()

    def on_message_out(self, tp: TP, offset: int, message: Message) -> None:
        """The fetch is acknowledged."""
        del offset
        if message.time_in is None:
            return
        seconds = self._by_topic.get(tp.topic)
        if seconds is None:
            seconds = self._by_topic[tp.topic] = self._metrics.batch_seconds.labels(tp.topic)
        seconds.observe(perf_counter() - message.time_in)

    def on_commit_initiated(self, consumer: ConsumerT) -> float:
        """Offsets are about to be committed to the log, if there are new ones."""
        del consumer
        self._has_committed = False
        return perf_counter()

    def on_commit_completed(self, consumer: ConsumerT, state: float) -> None:
        """They are, or there were none."""
        del consumer
        if self._has_committed:
            self._metrics.offset_commit_seconds.observe(perf_counter() - state)

    def on_rebalance_start(self, app: AppT) -> dict[str, float]:
        """Partitions are dealt out anew."""
        del app
        self._metrics.rebalances.inc()
        return {"begun_s": perf_counter()}

    def on_rebalance_end(self, app: AppT, state: dict[str, float]) -> None:
        """They are, and the tables have recovered."""
        del app
        self._metrics.rebalance_seconds.observe(perf_counter() - state["begun_s"])

    # --- what Faust asks of a monitor beside

    def on_tp_commit(self, offsets: Mapping[TP, int]) -> None:
        """These offsets are committed."""
        self._has_committed = bool(offsets)

    def track_tp_end_offset(self, tp: TP, offset: int) -> None:
        """A partition was seen to end there; ingest looks itself."""
