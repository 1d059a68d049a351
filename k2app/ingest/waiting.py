"""Saying what is waited for: one line when it begins, one now and then while it lasts, one when it is over."""

from __future__ import annotations

from k2app.logs import get

logger = get(__name__)

AGAIN_AFTER_S = 30.0
"""Seconds until it is said again: an outage of ten minutes is twenty lines."""

SILENT_S = 10.0
"""Seconds without an end after which a step of a flush is taken to wait: most take tenths of a second."""


class Waiting:
    """What somebody waits for, as it is told to whoever reads the log.

    Parameters
    ----------
    who
        Who waits, as it stands in the lines: `table="trades"`.
    """

    def __init__(self, **who: str) -> None:
        self._who = who
        self._since_s: float | None = None
        self._said_s = 0.0

    def look(self, trouble: str | None, now_s: float) -> None:
        """Note what is waited for now (None: nothing), and say what is worth a line."""
        if trouble is None:
            if self._since_s is not None:
                logger.info("goes_on", **self._who, waited_s=round(now_s - self._since_s, 1))
            self._since_s = None
        elif self._since_s is None or now_s - self._said_s >= AGAIN_AFTER_S:
            self._since_s = now_s if self._since_s is None else self._since_s
            self._said_s = now_s
            waited_s = round(now_s - self._since_s, 1)
            logger.warning("waiting", **self._who, reason=trouble, waited_s=waited_s)
