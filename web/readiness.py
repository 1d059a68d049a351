"""Whether a process that only answers queries can do so: whether its catalog answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from k2app.errors import K2Error

LOOK_WITHIN_S = 3.0
"""Seconds that the catalog has to answer: less than probes wait."""


class CatalogReadiness:
    """Asks the catalog; one question at a time, however many probes wait for it.

    Parameters
    ----------
    look
        Asks it, blocking; raises K2Error if it does not answer as it should.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._looking: asyncio.Future[object] | None = None

    async def __call__(self) -> list[str]:
        """Reasons why the process is not ready; none: it is."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._look))
        looking = self._looking
        if not (await asyncio.wait({looking}, timeout=LOOK_WITHIN_S))[0]:
            return [f"the catalog has not answered for {LOOK_WITHIN_S:g} s"]
        error = looking.exception()
        if error is not None and not isinstance(error, K2Error):
            raise error
        return [] if error is None else [str(error)]
