"""Faust's recovery of tables, told to nobody once another rebalance has overtaken it.

A recovery runs beside the callbacks of the consumer, and Faust sends `on_rebalance_complete` at its end before it
looks whether its partitions are still the worker's. One that ends while partitions are given up would hand them to
their readers just then; when they are dealt out anew, the readers would take them for read, and nobody would read.
"""

from __future__ import annotations

from typing import Any

from faust.tables.recovery import Recovery
from faust.types import TP

from k2app.logs import FAUST_LOGGER, get

logger = get(__name__)


class CurrentRecovery(Recovery):
    """Recovery that counts only if it is of the partitions that the worker has at its end."""

    logger = FAUST_LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._given_up = False

    def give_up(self) -> None:
        """Note that partitions are being given up: what is being recovered is of no use until they are dealt out."""
        self._given_up = True

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Begin anew, with what the worker has now."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        if self.signal_recovery_start.is_set():
            self._given_up = False

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Say that the tables are recovered, unless that is of no use any more: another recovery follows then."""
        if self._overtaken(generation_id):
            logger.debug("recovery_overtaken", generation=generation_id)
            self._set_recovery_ended()
            return
        await super().on_recovery_completed(generation_id)

    def _overtaken(self, generation_id: int) -> bool:
        current: int = self.app.consumer_generation_id
        return self._given_up or self.signal_recovery_start.is_set() or current != generation_id
