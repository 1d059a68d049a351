"""One fault after the other: struck, seen, mended, recovered from."""

import time
from dataclasses import dataclass, field

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import wait_until
from tests.services.drill.alarm import Alarm
from tests.services.drill.faults import Fault
from tests.services.drill.stage import Stage

FIRES_S = 120.0
"""Deadline of an alert, its `for` hurried: far above what it takes."""

COPES_S = 45.0
"""Seconds of a fault that a worker may cope with: longer than any `for`, hurried."""

RECOVERS_S = 300.0
"""Deadline of the way back: what came meanwhile has to be read."""

SAID_CHARACTERS = 60
"""Of what the worker says, so much is shown."""


@dataclass
class Scene:
    """How it went with one fault; times in seconds, since it began or since it was mended."""

    fault: str
    alert: str = ""
    said: str = ""
    fired_s: float = 0.0
    recovered_s: float = 0.0
    quiet_s: float = 0.0
    others: set[str] = field(default_factory=set)
    """Alerts that fired meanwhile, too."""
    problems: list[str] = field(default_factory=list)

    def told(self) -> str:
        """It, in a line."""
        if self.problems:
            return "; ".join(self.problems)
        return (
            f"{self.alert} after {self.fired_s:.0f} s; mended: all in the lake after {self.recovered_s:.0f} s, "
            f"alert over after {self.quiet_s:.0f} s"
        )


def play(stage: Stage, alarm: Alarm, fault: Fault) -> Scene:
    """Let a fault happen, and see how it ends."""
    scene, begun_s = Scene(fault.name), time.monotonic()
    alarm.seen.clear()
    with fault.lasting(stage):
        try:
            scene.alert = alarm.wait_for(fault.alerts, FIRES_S if fault.must_fire else COPES_S)
        except AssertionError:
            scene.alert = "none: it coped"
            if fault.must_fire:
                scene.problems.append(f"{fault.name}: none of {', '.join(sorted(fault.alerts))} fired")
        scene.fired_s = time.monotonic() - begun_s
        if fault.worker_answers:
            scene.said = stage.readiness()[:SAID_CHARACTERS]
    mended_s = time.monotonic()
    try:
        wait_until(lambda: stage.readiness() == "", "a worker that is ready", RECOVERS_S)
        wait_until(stage.caught_up, "everything in the lake", RECOVERS_S)
        scene.recovered_s = time.monotonic() - mended_s
        alarm.wait_for_quiet(fault.alerts, RECOVERS_S)
        scene.quiet_s = time.monotonic() - mended_s
    except AssertionError as error:
        scene.problems.append(f"{fault.name}: {error}")
    scene.others = alarm.seen - fault.alerts
    stage.check()
    return scene


def settle(stage: Stage) -> list[str]:
    """End production and worker; returns what is wrong with the lake."""
    stage.production.end()
    wait_until(stage.caught_up, "everything in the lake", RECOVERS_S)
    stage.worker.stop()
    problems = [f"audit: {problem}" for problem in completeness(stage.home.table(Name.TRADES))]
    expected = {Name.TRADES: stage.production.rows, Name.DEAD_LETTERS: stage.dead}
    found = stage.counts()
    problems += [
        f"{name}: {found[name]:,} rows, expected {n:,}" for name, n in expected.items() if found[name] != n
    ]
    return problems
