"""How a command ends: one line on standard error if it fails, and the exit status that says what to do.

====== ==========================================================================================
status meaning
====== ==========================================================================================
0      done
1      not now: the same command may succeed later (`TransientError`); or it looked, and found fault
2      a person must act first; the line says what to do
130    interrupted with Ctrl-C; what was done is whole, and the same command takes it from there
====== ==========================================================================================
"""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from k2app.blocking import leave
from k2app.cli.terminal import leave_pipe, say
from k2app.errors import K2Error, TransientError

NOT_NOW = 1
"""Exit status when the same command may succeed later."""

REFUSED = 2
"""Exit status when a person must act first; usage errors have it too."""

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the signal's number, as shells have it."""

STATUSES = (
    "Exit status: 0 done, 1 not now (try again later), 2 something must be mended first, 130 interrupted."
)
"""For the help."""


def exit_status(error: K2Error) -> int:
    """Exit status that an error ends a command with."""
    return NOT_NOW if isinstance(error, TransientError) else REFUSED


class Interruptible(TyperGroup):
    """Commands that end with one line on Ctrl-C, and cleanly where a pipe is closed.

    By itself, Typer says nothing of the first, and takes the second for a fault.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise interrupted(self.name or "") from None
        except BrokenPipeError:
            leave_pipe()
            raise typer.Exit from None


def interrupted(program: str, what_now: str = "") -> typer.Exit:
    """Say that a command was interrupted, and what that means; the exception to raise."""
    say(f"{program}: interrupted; {what_now}" if what_now else f"{program}: interrupted")
    return typer.Exit(INTERRUPTED)


def run(app: typer.Typer, program: str, arguments: list[str] | None = None, shown: str | None = None) -> None:
    """Run commands, and end the process.

    Parameters
    ----------
    program
        What the line begins with.
    arguments
        Without them: those of the process.
    shown
        How the help calls the program; None: by its file's name.
    """
    try:
        app(args=arguments, prog_name=shown)
    except K2Error as error:
        say(f"{program}: " + "; ".join(str(error).splitlines()))
        leave(exit_status(error))
        sys.exit(exit_status(error))
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
