"""The storm on Kafka: three workers on twelve partitions, killed or stopped and resumed while rows arrive.

    python -m tests.services.storm [--blows 60] [--seed 7] [--block-rows 500] [--keep FOLDER]

A process publishes trades and quotes without a pause. Blow after blow falls on one of the workers, each only after
the lake's floors have moved since the last:

- *killed*: SIGKILL, and started again at once;
- *left*: SIGKILL, and started again when its partitions have passed to others;
- *zombie*: SIGSTOP until its session is over and its partitions have passed to others, then SIGCONT.

Then, with production going on, a broker is restarted, each of three is killed and started again, and the consumer
group's coordinator is stopped. At the end production ends, the lag goes to zero, the workers end; a last part of the
market is sent, and read by all workers anew, so that whatever their states were worth is seen in it. The lake must
hold each offset of the log once, and be equal, with gap events, dead letters and states, to that of one undisturbed
worker with a group, a lake and a state of its own. Nothing is done that an operator would do. Exit status 1 names
what differs.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from k2app.faults import POINTS
from k2app.market.topics import DataType
from tests.pipeline.homes import wait_until
from tests.services import servers
from tests.services.kafka_homes import MarketHome, new_exchange
from tests.services.storm_crew import Crew
from tests.services.storm_lakes import (
    Floors,
    counts,
    differences,
    faults,
    flags,
    lag,
    log_ends,
    topics_of,
    undisturbed,
)
from tests.services.storm_market import Stream
from tests.services.storm_producer import Producer, producing
from tests.services.three_brokers import BROKERS, ThreeBrokers, three_brokers

WORKERS, PARTITIONS = 3, 12

FLUSH = {"K2_FLUSH_MAX_ROWS": "20000", "K2_LOG_FETCH_ROWS": "2000", "K2_FLUSH_INTERVAL_S": "1"}
"""Flushes of a second's rows: some are under way at any moment."""

BLOWS = ("killed", "killed", "zombie", "killed", "left", "zombie")
"""Kinds of blows, over and over; each round in an order of its own."""

MOVE_S = 120.0
"""Deadline of what follows a blow: far above the seconds of a session, a start and a flush."""

HELD_S = 20.0
"""Seconds after which a zombie is resumed although nothing moves: it was stopped while it held the catalog's lock."""

AT_ONCE_S = 1.0
"""Seconds after progress within which a blow falls that aims at no step."""

STEP_S = 0.03
"""Seconds after the beginning of a step within which a blow falls that aims at it."""

STEP_WITHIN_S = 5.0
"""Seconds for the step to come."""

POLL_S = 0.2
"""Seconds between looks at the lake's floors."""

CATCH_UP_S = 600.0
"""Deadline of a lag of zero after the end of production."""

SEQUEL_ROWS = 2_000
"""Rows of the last part, of each type: some in every partition."""

SHOWN_EVERY = 5
"""Blows between two lines of progress."""


@dataclass
class Tally:
    """What a storm did."""

    blows: Counter[str] = field(default_factory=Counter)
    recoveries_s: list[float] = field(default_factory=list)
    """From a worker's start or resumption to its next flush."""
    held: int = 0
    """Zombies that held the catalog's lock."""
    figures: dict[str, object] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


class Storm:
    """Blows on a crew."""

    def __init__(self, crew: Crew, floors: Floors, producer: Producer, seed: int) -> None:
        self._crew, self._floors, self._producer = crew, floors, producer
        self._rng = np.random.default_rng(seed)
        self.tally = Tally()

    def rage(self, blows: int, progress: Callable[[Tally], None]) -> None:
        """Let so many blows fall."""
        kinds: list[str] = []
        while self.tally.blows.total() < blows:
            kinds = kinds or [str(kind) for kind in self._rng.permutation(BLOWS)]
            self.moves("since the last blow")
            self._one(kinds.pop())
            progress(self.tally)

    def moves(self, what: str, within_s: float = MOVE_S) -> None:
        """Wait until the lake's floors have moved."""
        assert self._moved(within_s), f"the lake did not move within {within_s} s {what}"

    def _moved(self, within_s: float) -> bool:
        before, deadline = self._floors.total(), time.monotonic() + within_s
        while time.monotonic() < deadline:
            self._crew.check()
            self._producer.check()
            if self._floors.total() > before:
                return True
            time.sleep(POLL_S)
        return False

    def _one(self, kind: str) -> None:
        name = str(self._rng.choice(self._crew.names))
        self._await_moment(name)
        {"killed": self._killed, "left": self._left, "zombie": self._zombie}[kind](name)
        self.tally.blows[kind] += 1

    def _await_moment(self, name: str) -> None:
        """Half of the blows fall at any moment, half just after the worker begins a step of a flush."""
        if self._rng.random() < 0.5:
            time.sleep(self._rng.random() * AT_ONCE_S)
            return
        point, since = str(self._rng.choice(POINTS)), self._crew.traced(name)
        deadline = time.monotonic() + STEP_WITHIN_S
        while point not in self._crew.passed(name, since) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(self._rng.random() * STEP_S)

    def _killed(self, name: str) -> None:
        self._crew.kill(name)
        self.back(name, self._crew.start)

    def _left(self, name: str) -> None:
        self._crew.kill(name)
        self._crew.wait_for_members(len(self._crew.names) - 1, MOVE_S)
        self.moves(f"without {name}")
        self.back(name, self._crew.start)

    def _zombie(self, name: str) -> None:
        self._crew.freeze(name)
        self._crew.wait_for_members(len(self._crew.names) - 1, MOVE_S)
        self.tally.held += not self._moved(HELD_S)
        self.back(name, self._crew.thaw)

    def back(self, name: str, let: Callable[[str], None]) -> None:
        """Let a worker come back, and wait until it is at work."""
        since, started = self._crew.traced(name), time.monotonic()
        let(name)

        def at_work() -> bool:
            self._crew.check()
            return "flush-acknowledged" in self._crew.passed(name, since)

        wait_until(at_work, f"{name} at work again", MOVE_S)
        self.tally.recoveries_s.append(time.monotonic() - started)


def run(
    home: MarketHome,
    *,
    blows: int,
    seed: int,
    block_rows: int,
    then: Callable[[Storm], None] = lambda _: None,
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Run a storm in a home, and hold its lake against an undisturbed one; `then`: what follows the blows."""
    names = [f"worker-{nth}" for nth in range(1, WORKERS + 1)]
    started = time.monotonic()
    with closing(Floors(home)) as floors, Crew(home, names, **FLUSH) as crew:
        with producing(home, "producer", block_rows, seed) as producer:
            for name in names:
                crew.start(name)
            crew.wait_for_members(WORKERS, MOVE_S)
            storm = Storm(crew, floors, producer, seed)
            storm.rage(blows, progress)
            then(storm)
            sent = producer.end()
        caught_up(home, crew)
        crew.end(*names)
        publish_sequel(home, seed)
        for name in names:
            crew.start(name)
        caught_up(home, crew)
        crew.end(*names)
        tally, events = storm.tally, crew.events()
    storm_s = time.monotonic() - started
    tally.differences = compare(home)
    tally.figures |= {
        "seconds of storm": round(storm_s),
        "published": sent,
        "records on the log": sum(log_ends(home).values()),
        "rows in the lake": counts(home),
        "trades by flag": flags(home),
        "commits": len(home.table("trades").snapshots()) + len(home.table("quotes").snapshots()),
        "logged": {
            k: n for k, n in events.most_common() if k.startswith(("standing", "states", "restore", "commit"))
        },
    }
    return tally


def caught_up(home: MarketHome, crew: Crew) -> None:
    """Wait until lake and committed offsets have reached the end of the log."""

    def holds() -> bool:
        crew.check()
        return lag(home) == 0

    wait_until(holds, "a lag of zero", CATCH_UP_S)


def publish_sequel(home: MarketHome, seed: int) -> None:
    """What follows, of every symbol: judged rightly only with the states that the storm left."""
    for data_type in (DataType.TRADES, DataType.QUOTES):
        home.publish(Stream(data_type, seed + 1).block(SEQUEL_ROWS), data_type)


def compare(home: MarketHome) -> list[str]:
    """What is wrong with a home's lake, and in what it differs from one undisturbed pass; empty: nothing."""
    with closing(undisturbed(home, home.path.with_name("undisturbed"))) as other:
        others = [f"in the undisturbed pass: {problem}" for problem in faults(other)]
        return [*faults(home), *others, *differences(home, other)]


# --- the long form


def attack_brokers(brokers: ThreeBrokers, home: MarketHome) -> Callable[[Storm], None]:
    """A restart, a rolling loss, and a move of the coordinator, under production."""
    topics = [*topics_of(home).values(), "__consumer_offsets"]

    def back(storm: Storm, node: int) -> None:
        brokers.start(node)
        wait_until(lambda: brokers.whole(topics), "all replicas in sync", MOVE_S)
        storm.moves(f"with broker {node} again")

    def attack(storm: Storm) -> None:
        brokers.stop(BROKERS[0], signal.SIGTERM)
        back(storm, BROKERS[0])
        for node in BROKERS:
            brokers.stop(node, signal.SIGKILL)
            storm.moves(f"without broker {node}")
            back(storm, node)
            storm.tally.blows[f"broker {node} lost"] += 1
        node = brokers.coordinator(home.group)
        brokers.stop(node, signal.SIGTERM)
        wait_until(lambda: brokers.coordinator(home.group) != node, "another coordinator", MOVE_S)
        storm.moves("under another coordinator")
        back(storm, node)
        storm.tally.blows["coordinator moved"] += 1

    return attack


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blows", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--block-rows", type=int, default=500, help="rows published at once, of each type")
    parser.add_argument("--keep", type=Path, help="folder to leave everything in; it is emptied first")
    options = parser.parse_args()
    console, started = Console(highlight=False), time.monotonic()
    # Servers and workers end with it, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))

    def progress(tally: Tally) -> None:
        if tally.blows.total() % SHOWN_EVERY == 0:
            console.print(f"{tally.blows.total()} blows after {time.monotonic() - started:.0f} s")

    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k2-storm-")))
        if options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        registry = stack.enter_context(servers.registry(folder / "registry"))
        brokers = stack.enter_context(three_brokers(folder / "brokers"))
        home = MarketHome(
            folder / "home",
            new_exchange(),
            partitions=PARTITIONS,
            K2_LOG_URL=brokers.url,
            K2_REGISTRY_URL=registry,
        )
        stack.enter_context(closing(home))
        tally = run(
            home,
            blows=options.blows,
            seed=options.seed,
            block_rows=options.block_rows,
            then=attack_brokers(brokers, home),
            progress=progress,
        )
    show(console, tally)
    console.print(f"duration: {time.monotonic() - started:.0f} s")
    return 1 if tally.differences else 0


def show(console: Console, tally: Tally) -> None:
    """Print the figures."""
    listed = ", ".join(f"{kind} {count}" for kind, count in tally.blows.items())
    console.print(f"blows: {listed}; zombies that held the catalog: {tally.held}")
    median, most = np.median(tally.recoveries_s), max(tally.recoveries_s)
    console.print(f"start or resumption to next flush: median {median:.1f} s, slowest {most:.1f} s")
    for what, figure in tally.figures.items():
        console.print(f"{what}: {figure}")
    for problem in tally.differences:
        console.print(f"DIFFERENT: {problem}", markup=False)
    if not tally.differences:
        console.print("equal to the undisturbed pass: rows, flags, gap events, dead letters, floors, states")


if __name__ == "__main__":
    raise SystemExit(main())
