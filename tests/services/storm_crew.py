"""Several workers of one lake, each with a state folder of its own, that are killed, stopped and started again."""

import json
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from k2app.errors import TransientError
from tests.pipeline.homes import wait_until
from tests.services.kafka_homes import MarketHome, Worker, asked

POLL_S = 0.1
"""Seconds between looks at the group, each of which connects anew."""

END_WITHIN_S = 90.0
"""Seconds to end after SIGTERM: a flush that may take 30, and the leave of a group."""


class Crew:
    """Workers by name; each prints to a file, and traces the points that it passes to another."""

    def __init__(self, home: MarketHome, names: list[str], **environment: str) -> None:
        self._home, self._environment = home, environment
        self.names = names
        self._running: dict[str, tuple[Worker, ExitStack]] = {}
        self._frozen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*self._running]:
            self.kill(name)

    def start(self, name: str) -> None:
        """Start a worker, for the first time or again."""
        stack = ExitStack()
        trace = str(self.trace(name))
        given = self._home.beside(name) | self._environment | {"K2_FAULT_TRACE": trace}
        worker = stack.enter_context(self._home.worker(name, **given))
        self._running[name] = worker, stack

    def kill(self, name: str) -> None:
        """End a worker with SIGKILL, frozen or not."""
        self._frozen.discard(name)
        self._running.pop(name)[1].close()

    def freeze(self, name: str) -> None:
        """Stop a worker where it is: to the others it is as good as dead."""
        self.check()
        self._running[name][0].process.send_signal(signal.SIGSTOP)
        self._frozen.add(name)

    def thaw(self, name: str) -> None:
        """Let it go on, as if nothing had happened."""
        self._running[name][0].process.send_signal(signal.SIGCONT)
        self._frozen.discard(name)

    def end(self, *names: str) -> None:
        """Tell workers to end, as an operator would, and wait."""
        self.check()
        for name in names:
            self._running[name][0].process.terminate()
        for name in names:
            worker, _ = self._running.pop(name)
            assert 0 == worker.process.wait(END_WITHIN_S), self.tail(name)

    def check(self) -> None:
        """Fail if a worker has ended by itself."""
        for name, (worker, _) in self._running.items():
            assert not worker.ended(), (
                f"{name} ended by itself, {worker.process.returncode}: {self.tail(name)}"
            )

    # --- what they say

    def trace(self, name: str) -> Path:
        """File of the points that a worker has passed."""
        return self._home.path.with_name(f"{name}.trace")

    def printed(self, name: str) -> Path:
        """File of what a worker has printed."""
        return self._home.path.with_name(f"{name}.out")

    def tail(self, name: str) -> str:
        return f"{self.printed(name)} ends with:\n" + self.printed(name).read_text(errors="replace")[-3_000:]

    def passed(self, name: str, since: int) -> list[str]:
        """Points that a worker has passed, of what it traced beyond byte `since`."""
        path = self.trace(name)
        if not path.exists():
            return []
        with path.open("rb") as trace:
            trace.seek(since)
            return [line.split()[1] for line in trace.read().decode().splitlines()]

    def traced(self, name: str) -> int:
        """Bytes of a worker's trace."""
        return self.trace(name).stat().st_size if self.trace(name).exists() else 0

    def events(self) -> Counter[str]:
        """What the workers have logged, by event; standing down by its reason, states by what they were worth."""
        found: Counter[str] = Counter()
        for name in self.names:
            for line in self.printed(name).read_text(errors="replace").splitlines():
                if line.startswith("{"):
                    entry = json.loads(line)
                    which = entry.get("outcome") or entry.get("stored")
                    found[entry.get("event", "") + (f": {which}" if which else "")] += 1
        return found

    # --- the group

    def members(self) -> int:
        """Members between which the partitions are dealt out; 0 while they are being dealt, or nobody knows."""
        try:
            answers = asked(
                self._home.cluster, lambda admin: admin.describe_consumer_groups([self._home.group])
            )
        except TransientError:
            return 0
        (group,) = [group for answer in answers for group in answer.to_object()["groups"]]
        return len(group["members"]) if group["state"] == "Stable" else 0

    def wait_for_members(self, count: int, within_s: float) -> None:
        """Wait until the partitions are dealt out between so many."""

        def holds() -> bool:
            self.check()
            time.sleep(POLL_S)
            return self.members() == count

        wait_until(holds, f"partitions dealt to {count} workers", within_s)
