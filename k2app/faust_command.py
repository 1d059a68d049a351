"""What `faust -A k2app.app` has beside Faust's own commands: `load`, and a worker that says how it was ended."""

from __future__ import annotations

from typing import Any

import faust
from faust.cli.base import argument, cli

INTERRUPTED = 130
"""Exit status after Ctrl-C, as that of `k2`."""


class Worker(faust.Worker):
    """Faust's worker; Ctrl-C gives it the exit status that shells expect."""

    _interrupted = False

    def _on_sigint(self) -> None:
        self._interrupted = True
        super()._on_sigint()

    def execute_from_commandline(self) -> None:
        """Run until it is done or told to end."""
        try:
            super().execute_from_commandline()
        except SystemExit as ended:
            raise SystemExit(INTERRUPTED if self._interrupted and not ended.code else ended.code) from None

    async def _sentinel_task(self) -> None:
        """End at once: by then every task is over, and Faust would wait for a second."""


def add_commands() -> None:
    """Make `faust -A k2app.app load` the same command as `k2 load`, with the same options."""

    # Options and help are those of `k2 load`: Faust hands all of it on as it stands.
    @cli.command("load", context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @argument("arguments", nargs=-1)
    def load(arguments: tuple[str, ...]) -> Any:
        """Load CSV files, as `k2 load` does."""
        from k2app.cli.ending import run  # noqa: PLC0415 - the commands stand above the app that offers them
        from k2app.cli.k2 import app  # noqa: PLC0415 - as above

        run(app, "k2", ["load", *arguments], "faust -A k2app.app")
