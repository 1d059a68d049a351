"""Faust's table manager without its pause at start, and with a recovery that tells only what is still true."""

from __future__ import annotations

from faust.tables import TableManager

from k2app.logs import FAUST_LOGGER
from tables.recovery import CurrentRecovery


class PromptTableManager(TableManager):
    """Registers its tables at once.

    Faust waits a second first, for tables that agents declare while they start. K2 declares every table before the
    app starts; the conductor subscribes once agents and tables are both there, with or without the wait.
    """

    logger = FAUST_LOGGER
    _recovery: CurrentRecovery | None

    @property
    def recovery(self) -> CurrentRecovery:
        """Recovery of the tables; made when it is first asked for, as Faust does."""
        if self._recovery is None:
            self._recovery = CurrentRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Register the tables, then start recovery."""
        await self._update_channels()
        await self.recovery.start()
