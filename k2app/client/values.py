"""Types of what parameters take."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

Time = dt.datetime | str
"""A moment: with a zone, or text such as `2026-01-05T10:00:00+11:00`."""

Day = dt.date | str
"""A trading date."""

Amount = Decimal | int | str
"""A price or quantity; never a float, which is not exact."""

Names = str | Iterable[str]
"""One name, or several."""
