"""One thread that ends what takes too long, whatever the number of queries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Timed(Protocol):
    """What may take too long."""

    def left_s(self) -> float:
        """Seconds that are left; at the beginning no less than the limit of its `Deadlines`."""

    def expire(self) -> None:
        """End, for it took too long; may block."""


class Deadlines:
    """Watches over work of which none may take longer than a limit.

    Nobody has to wake the thread when work begins: it looks again before anything that began since can be late.

    Parameters
    ----------
    limit_s
        The longest that anything may take.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._watched: set[Timed] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, work: Timed) -> Iterator[None]:
        """Watch over some work."""
        with self._lock:
            self._watched.add(work)
        try:
            yield
        finally:
            with self._lock:
                self._watched.discard(work)

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        left_s = self._limit_s
        while not self._closed.wait(left_s):
            left_s = self._look()

    def _look(self) -> float:
        """Expire what is late; how long nothing else can be."""
        with self._lock:
            left_s = {work: work.left_s() for work in self._watched}
            late = [work for work, left in left_s.items() if left <= 0]
            self._watched.difference_update(late)
        for work in late:
            # Ending one takes as long as it takes; others are due meanwhile.
            threading.Thread(target=work.expire, name="expire", daemon=True).start()
        return min([self._limit_s, *(left for left in left_s.values() if left > 0)])
