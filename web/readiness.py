"""What a process needs to do its work, part by part, and how each is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from k2app.errors import K2Error

LOOK_WITHIN_S = 3.0
"""Seconds that a part has to answer: less than probes wait."""


@dataclass(frozen=True)
class Checks:
    """What was found of each part."""

    parts: Mapping[str, str | None]
    """Why the process cannot do its work, by part; None: this part is in order."""
    warnings: Mapping[str, str] = field(default_factory=dict)
    """What does not keep it from its work yet, by part."""

    @property
    def reasons(self) -> list[str]:
        """Why it is not ready; none: it is."""
        return [f"{part}: {reason}" for part, reason in self.parts.items() if reason is not None]


class Probe:
    """Asks one part; one question at a time, however many probes wait for it.

    Parameters
    ----------
    what
        The part, for messages.
    look
        Asks it, blocking; raises K2Error if it does not answer as it should.
    """

    def __init__(self, what: str, look: Callable[[], object]) -> None:
        self._what = what
        self._look = look
        self._looking: asyncio.Future[object] | None = None

    async def __call__(self) -> str | None:
        """Why the part is not in order; None: it is."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._look))
        looking = self._looking
        if not (await asyncio.wait({looking}, timeout=LOOK_WITHIN_S))[0]:
            return f"the {self._what} has not answered for {LOOK_WITHIN_S:g} s"
        error = looking.exception()
        if error is not None and not isinstance(error, K2Error):
            raise error
        return None if error is None else str(error)


async def ask(probes: Mapping[str, Callable[[], Awaitable[str | None]]]) -> dict[str, str | None]:
    """Ask several parts at once."""
    answers = await asyncio.gather(*(probe() for probe in probes.values()))
    return dict(zip(probes, answers, strict=True))
