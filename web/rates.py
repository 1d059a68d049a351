"""How often a caller may ask, and how much at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import hdrs
from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
)
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from web.refusal import RefusedError

_ITEMS: dict[str, type[RateLimitItem]] = {
    "s": RateLimitItemPerSecond,
    "min": RateLimitItemPerMinute,
    "h": RateLimitItemPerHour,
    "d": RateLimitItemPerDay,
}

_POLICY = '"requests"'
"""Name of the one policy in the RateLimit headers."""


class Rates:
    """Requests of each caller, counted in a window that slides.

    Notes
    -----
    Two counters a caller, whatever the rate: the window before counts as far as the sliding one reaches into it.
    Every process counts for itself.

    Parameters
    ----------
    default
        Rate of callers that have none of their own, such as `50/s`; empty: any.
    """

    def __init__(self, default: str) -> None:
        self._default = default
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, caller: str, own_rate: str | None) -> dict[str, str]:
        """Count one request of a caller.

        Returns
        -------
        dict
            The headers that tell what is left. Source: draft-ietf-httpapi-ratelimit-headers-10.

        Raises
        ------
        RefusedError
            429: there were too many; `Retry-After` says when there may be another.
        """
        rate = own_rate or self._default
        if not rate:
            return {}
        item = rate_item(rate)
        is_free = await self._limiter.hit(item, caller)
        window = await self._limiter.get_window_stats(item, caller)
        wait_s = max(1, math.ceil(window.reset_time - time.time()))
        headers = {
            "RateLimit-Policy": f"{_POLICY};q={item.amount};w={item.get_expiry()}",
            "RateLimit": f"{_POLICY};r={max(0, window.remaining)};t={wait_s}",
        }
        if not is_free:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "rate",
                f"{caller} made more than {rate} requests; the next one may come in {wait_s} s",
                {**headers, hdrs.RETRY_AFTER: str(wait_s)},
            )
        return headers


class Places:
    """Queries of each caller that run or wait.

    Parameters
    ----------
    each
        How many a caller may have.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """Hold one place of a caller's.

        Raises
        ------
        RefusedError
            429: all of them are taken.
        """
        if self._taken[caller] >= self._each:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "concurrency",
                f"{caller} has {self._each} queries running or waiting (K2_WEB_CONCURRENT); wait for one to end",
                {hdrs.RETRY_AFTER: "1"},
            )
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if self._taken[caller] == 0:
                # Callers come and go; no entry stays of one that is gone.
                del self._taken[caller]


def rate_item(text: str) -> RateLimitItem:
    """The limit that a text such as `50/s` means."""
    amount, _, unit = text.partition("/")
    return _ITEMS[unit](int(amount))
