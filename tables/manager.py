"""Faust's table manager without its pause at start."""

from __future__ import annotations

from faust.tables import TableManager

from k2app.logs import FAUST_LOGGER


class PromptTableManager(TableManager):
    """Registers its tables at once.

    Faust waits a second first, for tables that agents declare while they start. K2 declares every table before the
    app starts; the conductor subscribes once agents and tables are both there, with or without the wait.
    """

    logger = FAUST_LOGGER

    async def on_start(self) -> None:
        """Register the tables, then start recovery."""
        await self._update_channels()
        await self.recovery.start()
