"""Metrics of a worker that waits at its start: which it is, that it waits, and nothing of what it does not do yet."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from k2app import instruments
from k2app.metrics import Metrics
from k2app.settings import MemorySettings

START = "start"
"""Label `part` of `k2_waiting`: everything that has to be there before the worker is made."""


def start_metrics(memory: MemorySettings) -> tuple[Metrics, CollectorRegistry]:
    """Make them.

    Returns
    -------
    tuple
        Metrics for whoever counts something meanwhile (requests), and the registry of those that are told: a count of
        rows that is 0 would look like that of a worker that reads nothing.
    """
    metrics, told = Metrics(CollectorRegistry()), CollectorRegistry()
    ProcessCollector(registry=told)
    PlatformCollector(registry=told)
    instruments.tell_process(metrics, memory)
    metrics.process.ready.set(0)
    metrics.log.waiting.labels(START).set(1)
    process = metrics.process
    told_of_it = (process.info, process.clock, process.ready, process.memory_used, process.memory_limit)
    for one in (*told_of_it, metrics.log.waiting):
        told.register(one)
    return metrics, told
