"""Trading dates of single times."""

from __future__ import annotations

from datetime import date

import numpy as np

from k2app.market.exchanges import Exchange
from k2app.market.sessions import DAY_US, trading_dates

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
"""Python's day number of 1970-01-01."""


def date_of(exchange: Exchange | None, timestamp_us: int) -> date:
    """Trading date of a UTC time; the UTC date for an exchange that is not configured (None)."""
    if exchange is None:
        day = timestamp_us // DAY_US
    else:
        day = int(trading_dates(exchange, np.array([timestamp_us], np.int64))[0])
    return date.fromordinal(_EPOCH_ORDINAL + day)
