"""What a drill breaks, which alert has to say so, and what mends it."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import schemas
from k2app.market.topics import DataType
from k2app.stream.registry import open_registry
from tests.services.drill.stage import Stage

POISON_MESSAGES = 2_000
"""Enough to be seen in a rate; every one has to be in the dead letters."""

BURST = 10
"""Times the usual load."""

JUMP_S = 7_200
"""Seconds that the clock is off by: more than any clock is that drifts."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    alerts
        Alerts of which at least one has to fire while it lasts.
    lasting
        Breaks it, and mends it at the end of the block; nobody touches the worker.
    """

    name: str
    alerts: frozenset[str]
    lasting: Callable[[Stage], contextlib.AbstractContextManager[None]]
    worker_answers: bool = True
    """Whether it can be asked meanwhile what is wrong."""
    must_fire: bool = True
    """Whether an alert has to fire; else it may be that the worker copes."""


@contextmanager
def disk_full(stage: Stage) -> Iterator[None]:
    """No file of the worker's grows: log, lake, states."""
    stage.fill_disk()
    try:
        yield
    finally:
        stage.free_disk()


@contextmanager
def registry_down(stage: Stage) -> Iterator[None]:
    """A producer has a new schema, and the registry is away when the worker has to ask for it."""
    subject = stage.home.outlet(DataType.TRADES).topic
    registry = open_registry(stage.home.settings, stage.home.opened.file)
    subject = f"{subject.rpartition('.')[0]}-value"
    described = {**schemas.newest("trade"), "doc": "A trade, told anew."}
    schema_id = registry.register(subject, described)
    stage.registry.cut()
    stage.production.schema_id = schema_id
    try:
        yield
    finally:
        stage.registry.mend()


@contextmanager
def poisoned(stage: Stage) -> Iterator[None]:
    """Messages arrive that nobody can read."""
    stage.poison(POISON_MESSAGES)
    yield


@contextmanager
def burst(stage: Stage) -> Iterator[None]:
    """Far more arrives than usually."""
    stage.production.times = BURST
    try:
        yield
    finally:
        stage.production.times = 1


@contextmanager
def clock_jumps(stage: Stage) -> Iterator[None]:
    """The wall clock jumps ahead, and back."""
    stage.set_clock(JUMP_S)
    try:
        yield
    finally:
        stage.set_clock(0)


@contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    """The process is stopped, as by a machine that stalls."""
    stage.freeze()
    try:
        yield
    finally:
        stage.thaw()


FAULTS = (
    Fault("disk full", frozenset({"K2CommitsFailing", "K2CommitLate"}), disk_full),
    Fault("registry down", frozenset({"K2RegistryFailing"}), registry_down),
    Fault("poison messages", frozenset({"K2DeadLetters"}), poisoned),
    Fault(f"{BURST}x burst", frozenset({"K2LagGrowing", "K2Lagging"}), burst, must_fire=False),
    Fault("clock jump", frozenset({"K2ClockSkew"}), clock_jumps),
    Fault("SIGSTOP", frozenset({"K2NoWorker", "K2TargetDown"}), frozen, worker_answers=False),
)
"""In the order in which a drill goes through them."""
