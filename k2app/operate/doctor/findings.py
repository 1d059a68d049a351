"""What checks say: one finding per thing looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from k2app.errors import K2Error, TransientError


class Verdict(StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and something about it will bite."""
    FAILED = "failed"
    """K2 cannot work with it as it is."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    part
        What was looked at: `log`, `lake`.
    text
        What there is, or what is wrong; says the thing and its value.
    advice
        What to do; empty where nothing is to be done, or where `text` says it.
    """

    part: str
    verdict: Verdict
    text: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]
"""Looks at one part; what it raises ends it and is a finding of its own."""


def fine(part: str, text: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(part, Verdict.OK, text)


def warning(part: str, text: str, advice: str) -> Finding:
    """Say that something works and will bite."""
    return Finding(part, Verdict.WARNING, text, advice)


def failed(part: str, text: str, advice: str = "") -> Finding:
    """Say that something does not work."""
    return Finding(part, Verdict.FAILED, text, advice)


def examined(part: str, check: Check) -> Iterator[Finding]:
    """Findings of one check, and of what it could not go on from."""
    try:
        yield from check()
    except TransientError as error:
        yield failed(part, str(error), "see whether it runs and is reached from here, then try again")
    except K2Error as error:
        yield failed(part, str(error))
