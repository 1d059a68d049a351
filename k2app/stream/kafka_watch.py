"""Whether Kafka answers, asked all the time: aiokafka waits for it in silence, and tries again for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from k2app.errors import TransientError
from k2app.logs import get

logger = get(__name__)

ASK_EVERY_S = 2.0
"""Seconds between two questions."""

SILENT_S = 10.0
"""Seconds without an answer that count as silence: a broker's restart is longer, a slow answer shorter."""


class Watch:
    """Asks one cluster until it is cancelled.

    Parameters
    ----------
    url
        Of the cluster, for messages.
    ask
        Asks it what the worker needs of it; raises TransientError if it does not answer, by a deadline of its own.
    """

    def __init__(self, url: str, ask: Callable[[], Awaitable[object]]) -> None:
        self.trouble: str | None = None
        """What the worker waits for; None: nothing."""
        self._url = url
        self._ask = ask

    async def run(self) -> None:
        """Ask, and note what comes of it."""
        while True:
            await self._ask_once()
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask_once(self) -> None:
        # Not cancelled when it is late: aiokafka closes a dead connection only when a question of its own times out.
        asking = asyncio.ensure_future(self._ask())
        try:
            if not (await asyncio.wait({asking}, timeout=SILENT_S))[0]:
                self._note(f"Kafka at {self._url} has not answered for {SILENT_S:g} s")
            await asking
        except TransientError as error:
            self._note(f"Kafka at {self._url} does not answer: {error}")
        except Exception as error:  # noqa: BLE001 - the top of the watch: it must go on, and not in silence
            self._note(f"Kafka at {self._url} cannot be asked: {error!r}")
        else:
            self._note(None)
        finally:
            asking.cancel()

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and self.trouble is None:
            logger.warning("waiting_for_kafka", reason=trouble)
        if trouble is None and self.trouble is not None:
            logger.info("kafka_answers_again")
        self.trouble = trouble
