"""What `faust -A k2app.app` has beside Faust's own commands: `load`, and a worker that says how it was ended."""

from __future__ import annotations

from typing import Any

import click
import faust
from click.core import ParameterSource
from faust.cli.base import State, argument, cli

from k2app.logs import configure
from k2app.settings import LogsSettings

INTERRUPTED = 130
"""Exit status after Ctrl-C, as that of `k2`."""


LOGLEVEL = "loglevel"
"""Name of Faust's option."""

LEVELS = {"CRIT": "error", "CRITICAL": "error", "ERROR": "error", "WARN": "warning", "WARNING": "warning"} | {
    level.upper(): level for level in ("info", "debug")
}
"""Our levels by Faust's."""


class Worker(faust.Worker):
    """Faust's worker; Ctrl-C gives it the exit status that shells expect."""

    _interrupted = False

    def __init__(self, app: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(app, *arguments, **options)
        self._logs = _logs_settings(app.settings.logs)
        # It would draw over the lines.
        self.spinner = None

    def _setup_logging(self) -> None:
        configure(self._logs)

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


def _logs_settings(configured: LogsSettings) -> LogsSettings:
    """Settings of the log, with the level that `--loglevel` names, if it was given."""
    context = click.get_current_context(silent=True)
    while context is not None:
        state = context.find_object(State)
        if state is not None and context.get_parameter_source(LOGLEVEL) is ParameterSource.COMMANDLINE:
            return configured.model_copy(update={"level": LEVELS[str(state.loglevel).upper()]})
        context = context.parent
    return configured


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
