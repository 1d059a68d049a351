"""Lines for a person: on standard error, and without what steers a terminal."""

from __future__ import annotations

import os
import sys


def say(message: str) -> None:
    """Print one line to standard error."""
    sys.stderr.write(f"{printable(message)}\n")
    sys.stderr.flush()


def leave_pipe() -> None:
    """Forget what standard output still holds, after its reader went away."""
    # Python flushes standard output once more when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """Text without characters that steer a terminal; data may hold any."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
