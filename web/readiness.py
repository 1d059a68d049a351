"""What a process needs to do its work, part by part, and how each is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from k2app.errors import K2Error
from k2app.passwords import without_passwords

LOOK_WITHIN_S = 3.0
"""Seconds that a part has to answer: less than probes wait."""

KEEP_S = 5.0
"""Seconds that an answer counts: anybody may ask, as often as they like, and what is asked costs a request to a catalog
or an object store. Load balancers and containers look every five to thirty seconds."""


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
    """Asks one part: one question at a time, and none while the last answer counts, however many probes wait for it.

    Parameters
    ----------
    what
        The part, for messages.
    look
        Asks it, blocking; raises K2Error if it does not answer as it should.
    now_s
        The time, seconds of a clock that only goes forward.
    """

    def __init__(
        self, what: str, look: Callable[[], object], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._look = look
        self._now_s = now_s
        self._looking: asyncio.Future[str | None] | None = None
        self._answered_s = 0.0

    async def __call__(self) -> str | None:
        """Why the part is not in order; None: it is. Not older than `KEEP_S`."""
        if self._looking is None or not self._counts(self._looking):
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._ask))
        looking = self._looking
        if not (await asyncio.wait({looking}, timeout=LOOK_WITHIN_S))[0]:
            return f"the {self._what} has not answered for {LOOK_WITHIN_S:g} s"
        return looking.result()

    def _counts(self, looking: asyncio.Future[str | None]) -> bool:
        """Whether a look is under way, or has an answer that is not too old; what failed is no answer."""
        if not looking.done():
            return True
        return looking.exception() is None and self._now_s() - self._answered_s < KEEP_S

    def _ask(self) -> str | None:
        try:
            self._look()
        except K2Error as error:
            return without_passwords(str(error))
        finally:
            self._answered_s = self._now_s()
        return None


async def ask(probes: Mapping[str, Callable[[], Awaitable[str | None]]]) -> dict[str, str | None]:
    """Ask several parts at once."""
    answers = await asyncio.gather(*(probe() for probe in probes.values()))
    return dict(zip(probes, answers, strict=True))
